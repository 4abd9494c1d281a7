#!/bin/sh
# Starts coturn as soon as there is a certificate (without one it would have no TLS until it is started anew), and lets it
# read a renewed one: connections that are open stay.
# Use: turnserver.sh FOLDER [coturn's options]; in the folder lie fullchain.pem and privkey.pem,
# looked at every EVERY seconds.
set -eu
folder=$1
shift
coturn=$$

mark() { cat "$folder/fullchain.pem" "$folder/privkey.pem" 2>/dev/null | cksum; }

until [ -r "$folder/fullchain.pem" ] && [ -r "$folder/privkey.pem" ]; do
  sleep 1
done
(
  seen=$(mark)
  while sleep "${EVERY:-60}" && kill -0 "$coturn" 2>/dev/null; do
    now=$(mark)
    [ "$now" = "$seen" ] || kill -USR2 "$coturn"
    seen=$now
  done
) &
exec turnserver "$@"
