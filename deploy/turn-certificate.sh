#!/bin/sh
# Copies a domain's certificate and key from Caddy's store for coturn: at once, and whenever Caddy has renewed them.
# Use: turn-certificate.sh DOMAIN CADDY_STORE TARGET [SECONDS]
set -u
domain=$1 store=$2 target=$3 seconds=${4:-60}
umask 027

copy() {
  # In the target they appear whole; the key comes first, since the certificate is what coturn waits for.
  cmp -s "$1" "$target/$2" || { cat "$1" >"$target/$2.new" && mv "$target/$2.new" "$target/$2"; }
}

while :; do
  # There is one folder for each authority that Caddy has asked.
  # shellcheck disable=SC2012  # names of domains
  found=$(ls -t "$store"/certificates/*/"$domain/$domain.crt" 2>/dev/null | head -n 1)
  if [ -n "$found" ]; then
    copy "${found%.crt}.key" privkey.pem && copy "$found" fullchain.pem
  fi
  sleep "$seconds"
done
