-- A small network as headscale keeps it, written by hand from its documented schema.
CREATE TABLE users (
  id integer PRIMARY KEY AUTOINCREMENT, name text, display_name text, email text, provider_identifier text,
  provider text, profile_pic_url text, created_at datetime, updated_at datetime, deleted_at datetime
);
CREATE TABLE pre_auth_keys (
  id integer PRIMARY KEY AUTOINCREMENT, key text, prefix text, hash blob, user_id integer, reusable numeric,
  ephemeral numeric DEFAULT false, used numeric DEFAULT false, tags text, expiration datetime, created_at datetime
);
CREATE TABLE nodes (
  id integer PRIMARY KEY AUTOINCREMENT, machine_key text, node_key text, disco_key text, endpoints text,
  host_info text, ipv4 text, ipv6 text, hostname text, given_name varchar(63), user_id integer,
  register_method text, tags text, auth_key_id integer, last_seen datetime, expiry datetime, approved_routes text,
  created_at datetime, updated_at datetime, deleted_at datetime
);
CREATE TABLE policies (
  id integer PRIMARY KEY AUTOINCREMENT, created_at datetime, updated_at datetime, deleted_at datetime, data text
);
CREATE TABLE migrations (id text PRIMARY KEY);

INSERT INTO users VALUES
  (1, 'alice', 'Alice', 'alice@example.org', NULL, NULL, NULL, '2024-05-01 12:00:00.123456789+00:00', NULL, NULL),
  (2, 'bob', '', '', 'https://id.example.org/1234', 'oidc', NULL, '2024-05-02 12:00:00+00:00', NULL, NULL),
  (3, 'gone', '', '', NULL, NULL, NULL, '2024-05-02 12:00:00+00:00', NULL, '2024-06-01 00:00:00+00:00'),
  (4, '7 bad', '', '', NULL, NULL, NULL, '2024-05-02 12:00:00+00:00', NULL, NULL);
INSERT INTO pre_auth_keys VALUES (1, '', 'abcdef012345', x'00', 1, 1, 0, 0, '[]', NULL, '2024-05-01 12:00:00+00:00');
INSERT INTO policies VALUES
  (1, NULL, NULL, NULL, '{"acls": []}'),
  (2, NULL, NULL, NULL, '// everybody
{"tagOwners": {"tag:web": ["alice@"]}, "acls": [{"action": "accept", "src": ["*"], "dst": ["*:*"]}]}');
INSERT INTO nodes VALUES
  (1, 'mkey:0101010101010101010101010101010101010101010101010101010101010101',
   'nodekey:0202020202020202020202020202020202020202020202020202020202020202',
   'discokey:0303030303030303030303030303030303030303030303030303030303030303',
   '["192.0.2.1:41641"]', '{"OS":"linux","Hostname":"Laptop","RoutableIPs":["10.1.0.0/16"]}', '100.64.0.1',
   'fd7a:115c:a1e0::1', 'Laptop', 'laptop', 1, 'cli', '[]', NULL, '2024-07-01 10:00:00+00:00',
   '0001-01-01 00:00:00+00:00', '["10.1.0.0/16"]', '2024-05-01 12:00:00+00:00', NULL, NULL),
  (2, 'mkey:1101010101010101010101010101010101010101010101010101010101010101',
   'nodekey:1202020202020202020202020202020202020202020202020202020202020202', '',
   'null', '{"OS":"linux","Hostname":"machine-7"}', '100.64.0.2', 'fd7a:115c:a1e0::2', 'machine-7', 'web', NULL,
   'authkey', '["tag:web"]', 1, NULL, NULL, NULL, '2024-05-01 12:00:00+00:00', NULL, NULL),
  (3, 'mkey:2101010101010101010101010101010101010101010101010101010101010101',
   'nodekey:2202020202020202020202020202020202020202020202020202020202020202', '',
   '[]', 'null', '100.64.0.3', '', 'phone', 'phone', 2, 'oidc', 'null', NULL, NULL,
   '2038-01-01 00:00:00+00:00', '[]', '2024-05-01 12:00:00+00:00', NULL, NULL),
  (4, 'mkey:3101010101010101010101010101010101010101010101010101010101010101',
   'nodekey:3202020202020202020202020202020202020202020202020202020202020202', '', '[]', '{}', '100.64.0.4', '',
   'lost', 'lost', 4, 'cli', '[]', NULL, NULL, NULL, NULL, '2024-05-01 12:00:00+00:00', NULL, NULL),
  (5, 'not a key', 'nodekey:4202020202020202020202020202020202020202020202020202020202020202', '', '[]', '{}',
   '100.64.0.5', '', 'odd', 'odd', 1, 'cli', '[]', NULL, NULL, NULL, NULL, '2024-05-01 12:00:00+00:00', NULL, NULL);
