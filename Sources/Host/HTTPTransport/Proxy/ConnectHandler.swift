// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// Asks a proxy to lead a connection on, before anybody else in the pipeline learns that it is up.
///
/// What is written meanwhile waits, within the bounds of who writes; what the proxy sends behind its
/// answer belongs to the connection.
final class ConnectHandler: ChannelDuplexHandler, RemovableChannelHandler {
  typealias InboundIn = ByteBuffer
  typealias InboundOut = ByteBuffer
  typealias OutboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  /// The longest header of an answer.
  static let maximumHeaderBytes = 16 * 1024

  private let proxy: HTTPProxy
  /// Host and port, as CONNECT names them.
  private let target: String
  private var isAsked = false
  private var isOpen = false
  private var answer: [UInt8] = []
  private var waiting: [(NIOAny, EventLoopPromise<Void>?)] = []

  init(_ proxy: HTTPProxy, to target: String) { (self.proxy, self.target) = (proxy, target) }

  func handlerAdded(context: ChannelHandlerContext) {
    if context.channel.isActive { ask(context) }
  }

  func handlerRemoved(context: ChannelHandlerContext) {
    for (_, promise) in waiting { promise?.fail(ChannelError.ioOnClosedChannel) }
    waiting = []
  }

  func channelActive(context: ChannelHandlerContext) { ask(context) }

  private func ask(_ context: ChannelHandlerContext) {
    guard !isAsked else { return }
    isAsked = true
    var head = "CONNECT \(target) HTTP/1.1\r\nHost: \(target)\r\n"
    if let authorization = proxy.authorization {
      head += "Proxy-Authorization: \(authorization)\r\n"
    }
    context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: head + "\r\n")), promise: nil)
    context.read()
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    guard !isOpen else { return context.fireChannelRead(data) }
    answer += unwrapInboundIn(data).readableBytesView
    guard let end = Self.headerEnd(answer) else {
      if answer.count > Self.maximumHeaderBytes { fail(context, "answers without an end") }
      return
    }
    guard let status = Self.status(answer) else { return fail(context, "does not speak HTTP") }
    guard (200..<300).contains(status) else {
      let hint = status == 407 ? " (it wants a password)" : ""
      return fail(context, "answered \(status)\(hint)", reason: .refused(status: status))
    }
    open(context, rest: Array(answer[end...]))
  }

  /// Asks for more until the answer is whole; the reads of others come through afterwards.
  func channelReadComplete(context: ChannelHandlerContext) {
    if isOpen { context.fireChannelReadComplete() } else { context.read() }
  }

  private func open(_ context: ChannelHandlerContext, rest: [UInt8]) {
    (isOpen, answer) = (true, [])
    context.fireChannelActive()
    for (data, promise) in waiting { context.write(data, promise: promise) }
    waiting = []
    context.flush()
    if !rest.isEmpty {
      context.fireChannelRead(wrapInboundOut(ByteBuffer(bytes: rest)))
      context.fireChannelReadComplete()
    }
  }

  private func fail(
    _ context: ChannelHandlerContext,
    _ what: String,
    reason: HTTPTransportError.Reason = .malformed
  ) {
    let text = "the proxy \(proxy) \(what) when asked to connect to \(target)"
    context.fireErrorCaught(HTTPTransportError(reason, text))
    context.close(promise: nil)
  }

  // MARK: What is written meanwhile

  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    if isOpen { context.write(data, promise: promise) } else { waiting.append((data, promise)) }
  }

  func flush(context: ChannelHandlerContext) {
    if isOpen { context.flush() }
  }

  func channelInactive(context: ChannelHandlerContext) {
    if !isOpen {
      let text = "the proxy \(proxy) closed the connection when asked to connect to \(target)"
      context.fireErrorCaught(HTTPTransportError(.closed, text))
    }
    context.fireChannelInactive()
  }

  // MARK: The answer

  /// Where the header ends; nil while it does not.
  static func headerEnd(_ bytes: [UInt8]) -> Int? {
    let mark: [UInt8] = [13, 10, 13, 10]
    guard bytes.count >= mark.count else { return nil }
    return (0...(bytes.count - mark.count)).first { bytes[$0..<($0 + 4)].elementsEqual(mark) }
      .map { $0 + 4 }
  }

  /// The status of an answer whose header is whole; nil where it is no answer.
  static func status(_ bytes: [UInt8]) -> Int? {
    let line = String(decoding: bytes.prefix { $0 != 13 }, as: UTF8.self)
    let words = line.split(separator: " ", maxSplits: 2)
    guard words.count >= 2, words[0].hasPrefix("HTTP/1."), words[1].utf8.count == 3 else {
      return nil
    }
    return Int(words[1])
  }
}
