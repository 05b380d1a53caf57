-- A database as martlet-control wrote it with tables of version 2: two users, a key, a node, a policy.
PRAGMA user_version = 2;
BEGIN TRANSACTION;
CREATE TABLE audit (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  tailnet INTEGER NOT NULL REFERENCES tailnets (id),
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  subject TEXT NOT NULL,
  details TEXT NOT NULL,
  time TEXT NOT NULL
);
INSERT INTO "audit" VALUES(1,1,'uid 0','user.create','user alice','','2026-11-25T17:44:46.081551515Z');
INSERT INTO "audit" VALUES(2,1,'uid 0','user.create','user bob','','2026-11-25T17:44:46.327909429Z');
INSERT INTO "audit" VALUES(3,1,'uid 0','preauthkey.create','key 5d92fb22b353','','2026-11-25T17:44:46.613297397Z');
INSERT INTO "audit" VALUES(4,1,'uid 0','policy.set','policy 1','','2026-11-25T17:44:46.854579734Z');
INSERT INTO "audit" VALUES(5,1,'uid 0','node.add','node 1 printer','plain WireGuard','2026-11-25T17:44:47.116568907Z');
CREATE TABLE changes (
  tailnet INTEGER NOT NULL REFERENCES tailnets (id),
  number INTEGER NOT NULL,
  kind TEXT NOT NULL,
  subject INTEGER,
  time TEXT NOT NULL,
  PRIMARY KEY (tailnet, number)
);
INSERT INTO "changes" VALUES(1,1,'policy',NULL,'2026-11-25T17:44:46.854579734Z');
INSERT INTO "changes" VALUES(1,2,'node',1,'2026-11-25T17:44:47.116568907Z');
CREATE TABLE nodes (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  tailnet INTEGER NOT NULL REFERENCES tailnets (id),
  stable_id TEXT NOT NULL UNIQUE,
  machine_key TEXT NOT NULL,
  node_key TEXT NOT NULL UNIQUE,
  disco_key TEXT NOT NULL,
  user_id INTEGER REFERENCES users (id),
  tags TEXT NOT NULL,
  method TEXT NOT NULL,
  auth_key_id INTEGER,
  name TEXT NOT NULL,
  name_chosen INTEGER NOT NULL,
  addresses TEXT NOT NULL,
  hostinfo TEXT NOT NULL,
  endpoints TEXT NOT NULL,
  endpoint_types TEXT NOT NULL,
  capability_version INTEGER NOT NULL,
  ephemeral INTEGER NOT NULL,
  wireguard_only INTEGER NOT NULL,
  created TEXT NOT NULL,
  expires TEXT,
  last_seen TEXT, approved_routes TEXT NOT NULL DEFAULT '[]',
  UNIQUE (tailnet, name)
);
INSERT INTO "nodes" VALUES(1,1,'n0563659f8d8482bc','mkey:0000000000000000000000000000000000000000000000000000000000000000','nodekey:4141414141414141414141414141414141414141414141414141414141414141','discokey:0000000000000000000000000000000000000000000000000000000000000000',2,'[]','administrator',NULL,'printer',1,'["100.64.0.1","fd7a:115c:a1e0::1"]','{}','["192.0.2.1:51820"]','["5"]',0,0,1,'2026-11-25T17:44:47.116568907Z',NULL,NULL,'[]');
CREATE TABLE policies (
  tailnet INTEGER NOT NULL REFERENCES tailnets (id),
  number INTEGER NOT NULL,
  text TEXT NOT NULL,
  actor TEXT NOT NULL,
  created TEXT NOT NULL,
  PRIMARY KEY (tailnet, number)
);
INSERT INTO "policies" VALUES(1,1,'{"grants": [{"src": ["autogroup:owner"], "dst": ["*"], "ip": ["*"]}]}
','uid 0','2026-11-25T17:44:46.854579734Z');
CREATE TABLE pre_auth_keys (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  tailnet INTEGER NOT NULL REFERENCES tailnets (id),
  prefix TEXT NOT NULL UNIQUE,
  hash TEXT NOT NULL,
  user_id INTEGER REFERENCES users (id),
  tags TEXT NOT NULL,
  reusable INTEGER NOT NULL,
  ephemeral INTEGER NOT NULL,
  uses INTEGER NOT NULL,
  created TEXT NOT NULL,
  expires TEXT
);
INSERT INTO "pre_auth_keys" VALUES(1,1,'5d92fb22b353','9586b4cb96d191be12f754d82118387c5555c8457d6fce1fba71de16e34fda9f',1,'[]',1,0,0,'2026-11-25T17:44:46.613297397Z','2026-11-26T17:44:46Z');
CREATE TABLE resting_addresses (
  tailnet INTEGER NOT NULL REFERENCES tailnets (id),
  address TEXT NOT NULL,
  released TEXT NOT NULL,
  PRIMARY KEY (tailnet, address)
);
CREATE TABLE tailnets (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE
);
INSERT INTO "tailnets" VALUES(1,'default');
CREATE TABLE users (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  tailnet INTEGER NOT NULL REFERENCES tailnets (id),
  name TEXT NOT NULL,
  display_name TEXT NOT NULL,
  email TEXT NOT NULL,
  created TEXT NOT NULL,
  UNIQUE (tailnet, name)
);
INSERT INTO "users" VALUES(1,1,'alice','','','2026-11-25T17:44:46.081551515Z');
INSERT INTO "users" VALUES(2,1,'bob','','bob@lab.example','2026-11-25T17:44:46.327909429Z');
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('tailnets',1);
INSERT INTO "sqlite_sequence" VALUES('users',2);
INSERT INTO "sqlite_sequence" VALUES('audit',5);
INSERT INTO "sqlite_sequence" VALUES('pre_auth_keys',1);
INSERT INTO "sqlite_sequence" VALUES('nodes',1);
COMMIT;
