#!/usr/bin/env bash
# secrets.sh: in a copy of this folder, makes what only has to be random and to agree: the passwords of every role at NATS and
# PostgreSQL, the gateway's key, tokens. Then writes nats-users.conf, which NATS includes. What is filled in already stays; run
# it again after a password was changed by hand. Needs `paramedic` on PATH.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/paramedic"
umask 077
roles="gateway monitoring diagnostics communication remediation ledger"

random() { od -An -v -tx1 -N "${1:-24}" /dev/urandom | tr -d ' \n'; }
# fill FILE KEY VALUE: where it still is a placeholder.
fill() { sed -i "s|^\( *-\{0,1\} *$2\)=REPLACE-ME\$|\1=$3|" "$1"; }
# value FILE KEY: what stands there.
value() { sed -n "s/^$2=//p" "$1"; }

for role in $roles; do
  fill "secrets/$role.env" nats-password "$(random)"
  fill "secrets/$role.env" database-password "$(random)"
  # Migrate gives each role its login.
  fill secrets/migrate.env "$role-database-password" "$(value "secrets/$role.env" database-password)"
done
fill secrets/migrate.env nats-admin-password "$(random)"
fill secrets/connectors-token.env connectors-token "$(random)"
fill secrets/gateway.env acme-webhook-token "$(random)"
fill secrets/gateway.env signing-key "$(random 32)"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
{
  printf '[database]\n[gateway]\nlisten = "127.0.0.1:8080"\nsigning_key = "%s"\n' "$(value secrets/gateway.env signing-key)"
  printf '[nats]\nadmin_password = "%s"\n[nats.passwords]\n' "$(value secrets/migrate.env nats-admin-password)"
  for role in $roles; do printf '%s = "%s"\n' "$role" "$(value "secrets/$role.env" nats-password)"; done
  # The connectors do not talk to NATS. Their user is there all the same; nobody knows its password.
  printf 'connectors = "%s"\n' "$(random)"
} > "$work/all.toml"
fill kustomization.yaml gateway-public-key "$(paramedic config public-key --config "$work/all.toml")"
paramedic nats-users --config "$work/all.toml" > "$here/nats-users.conf"

echo "Wrote $here/nats-users.conf: NATS includes it, nobody else needs it. Keep it and secrets/ out of version control."
echo 'Still to be replaced by what only you know:'
grep -rnE 'REPLACE-ME|[a-z]\.example|0{10}' --include='*.env' --include='*.toml' --include='*.yaml' . | grep -v ':# ' || true
