"""Creates, lists, tags and deletes droplets with DigitalOcean's own Python client.

Usage: test_pydo.py URL, where URL is that of a running emulator with an empty cloud.
"""

import sys
import time

from azure.core.exceptions import HttpResponseError
from azure.core.pipeline.policies import SansIOHTTPPolicy
from pydo import Client


class Bearer(SansIOHTTPPolicy):
    """Sends the token over http too, which azure-core's own policy refuses to do."""

    def on_request(self, request):
        request.http_request.headers["Authorization"] = "Bearer of-the-emulator"


def wait_until_active(client, droplet_id):
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        droplet = client.droplets.get(droplet_id)["droplet"]
        if droplet["status"] == "active":
            return droplet
        time.sleep(0.05)
    raise SystemExit(f"droplet {droplet_id} did not become active")


def main(url):
    client = Client(token="of-the-emulator", endpoint=url, authentication_policy=Bearer())
    template = {"region": "nyc3", "size": "s-1vcpu-1gb", "image": "ubuntu-22-04-x64", "tags": ["doproxy:www"]}

    one = client.droplets.create(body={"name": "web-0", **template})
    assert one["droplet"]["status"] == "new", one
    assert one["links"]["actions"][0]["rel"] == "create", one
    many = client.droplets.create(body={"names": ["web-1", "web-2"], **template})
    assert [droplet["name"] for droplet in many["droplets"]] == ["web-1", "web-2"], many

    first = one["droplet"]["id"]
    active = wait_until_active(client, first)
    private = [net["ip_address"] for net in active["networks"]["v4"] if net["type"] == "private"]
    assert len(private) == 1 and private[0].startswith("127."), active["networks"]
    action = client.actions.get(one["links"]["actions"][0]["id"])["action"]
    assert (action["status"], action["resource_id"]) == ("completed", first), action

    listed = client.droplets.list(tag_name="doproxy:www", per_page=2)
    assert listed["meta"]["total"] == 3 and len(listed["droplets"]) == 2, listed
    assert "page=2" in listed["links"]["pages"]["next"], listed["links"]
    assert client.droplets.list(name="web-1")["meta"]["total"] == 1

    client.tags.create(body={"name": "blue"})
    resource = {"resource_id": str(first), "resource_type": "droplet"}
    client.tags.assign_resources("blue", body={"resources": [resource]})
    assert client.tags.get("blue")["tag"]["resources"]["droplets"]["count"] == 1
    assert "blue" in client.droplets.get(first)["droplet"]["tags"]
    client.tags.unassign_resources("blue", body={"resources": [resource]})

    assert client.account.get()["account"]["droplet_limit"] == 25
    assert any(size["slug"] == "s-1vcpu-1gb" for size in client.sizes.list(per_page=200)["sizes"])
    assert client.images.get("ubuntu-22-04-x64")["image"]["slug"] == "ubuntu-22-04-x64"

    client.droplets.destroy(first)
    try:
        gone = client.droplets.get(first)
    except HttpResponseError as error:
        assert error.status_code == 404, error
    else:
        # pydo hands a 404 back as its body.
        assert gone["id"] == "not_found", gone
    client.droplets.destroy_by_tag(tag_name="doproxy:www")
    assert client.droplets.list()["meta"]["total"] == 0


if __name__ == "__main__":
    main(sys.argv[1])
