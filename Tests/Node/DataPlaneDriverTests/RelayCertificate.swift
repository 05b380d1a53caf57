// SPDX-License-Identifier: Apache-2.0

/// What a relay of the tests shows; made for them, used nowhere else.
enum RelayCertificate {
  /// The SHA-256 of the first certificate's DER.
  static let pin = "2f398d89a0a1fd74c23906248b8c8e2dcdcc8c76ed8965b91c2a540cc01e1878"
  /// The relay's key, whose public half the second certificate tells.
  static let privateKey = "c03dd61c04612a50cbc0ea44b8a0c271bcd9883b2e30129843cc952abfac4a5e"

  static let own = """
    -----BEGIN CERTIFICATE-----
    MIIBkjCCATigAwIBAgIUfPqPbsSWoelHaDMvgi6s6c8Jx6gwCgYIKoZIzj0EAwIw
    FTETMBEGA1UEAwwKcmVsYXkudGVzdDAgFw0yNjExMjUwOTU3MTNaGA8yMTI2MTEw
    MTA5NTcxM1owFTETMBEGA1UEAwwKcmVsYXkudGVzdDBZMBMGByqGSM49AgEGCCqG
    SM49AwEHA0IABGQai+2xw31t9jg80MPuO2QS4/yx1haZ4MZHyz6pjnqLJQ7/GCR9
    iIPe55chpuexL8XqV6O1qfS3VSr+I0QG5DujZDBiMB0GA1UdDgQWBBR6O/dJ09Uk
    Rfy9UOMPUvOsO/LpSTAfBgNVHSMEGDAWgBR6O/dJ09UkRfy9UOMPUvOsO/LpSTAP
    BgNVHRMBAf8EBTADAQH/MA8GA1UdEQQIMAaHBH8AAAEwCgYIKoZIzj0EAwIDSAAw
    RQIgHGJQ+lnTbR0QS2wlMSz/0AS7mRg7SrDiGf9wYPLS4t8CIQCLm78VCDwS9c1i
    xjTLMMsy5GAc/lLHiKGLSq0YkO5EQw==
    -----END CERTIFICATE-----
    """

  /// Tells the relay's key, as a relay with fast start does.
  static let tellingKey = """
    -----BEGIN CERTIFICATE-----
    MIIBmTCCAUugAwIBAgIUZt7B4BetXl0S6MSyU2t9iJZj/a4wBQYDK2VwMBQxEjAQ
    BgNVBAMMCXJlbGF5IGtleTAgFw0yNjExMjUwOTU3MjVaGA8yMTI2MTEwMTA5NTcy
    NVowFDESMBAGA1UEAwwJcmVsYXkga2V5MCowBQYDK2VwAyEAiw6vF8XZoT1JaTxX
    j2Hn+NagU1vUcWDcg1gNQFzMFw+jgawwgakwHQYDVR0OBBYEFIW962UB55NLRZ+/
    A+j1UxQEjrXMMB8GA1UdIwQYMBaAFIW962UB55NLRZ+/A+j1UxQEjrXMMA8GA1Ud
    EwEB/wQFMAMBAf8wVgYJYIZIAYb4QgENBEkWR2RlcnBrZXllMDE5NDRhZDQ5ZmI1
    M2NlNzAxY2RmZGIwNWI3NjMxMDhiMDViMTQ4YzhhNGZiYWYwMGQ2ZGM3MTk4Y2My
    NDA2MAUGAytlcANBADmMIbfKnrtN9TO8Bjv8fQQ5RSXlAf3AY8+CwDp2/AJnVoKN
    +rQl8XwmTJRo9cZwcbge1uia3cd+/Dg58DZMaQY=
    -----END CERTIFICATE-----
    """

  static let key = """
    -----BEGIN PRIVATE KEY-----
    MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgyx1AVboCeo2llilR
    xW6WN5noR9hrAiJ11qn3Fhj1N6uhRANCAARkGovtscN9bfY4PNDD7jtkEuP8sdYW
    meDGR8s+qY56iyUO/xgkfYiD3ueXIabnsS/F6lejtan0t1Uq/iNEBuQ7
    -----END PRIVATE KEY-----
    """
}
