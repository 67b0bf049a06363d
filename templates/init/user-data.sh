#!/bin/sh
# Runs once, as root, at a droplet's first boot. Every process on the droplet can read it: no secrets in here.
set -eu

export DEBIAN_FRONTEND=noninteractive
apt-get update
apt-get install -y --no-install-recommends nginx-light curl

metadata=http://169.254.169.254/metadata/v1
name=$(curl -fsS "$metadata/hostname")
id=$(curl -fsS "$metadata/id")
address=$(curl -fsS "$metadata/interfaces/private/0/ipv4/address")

cat > /var/www/html/index.html <<END
<!doctype html>
<title>$name</title>
<p>Served by $name (droplet $id, $address).
END

# HAProxy sends traffic once this answers.
echo ok > /var/www/html/health
