"""What the tests of the exporters share: requests by the standard library, answers by the client's own parsers."""

import contextlib
import http.client
import socket
import time
from urllib.parse import urlsplit

from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_plain

from tests.running import PATIENCE_S
from velox_engine.config import MetricsSettings
from velox_engine.exporters.endpoints import Endpoints

OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"


class Served:
    """Endpoints on a free port of this machine, as a context; ``told`` is what they told."""

    def __init__(self, **settings):
        self.told = []
        settings = {"enabled": True, "port": 0, **settings}
        self.endpoints = Endpoints(
            MetricsSettings(**settings), lambda severity, text: self.told.append((severity, text))
        )

    def __enter__(self):
        self.endpoints.prepare()
        self.url = self.told[0][1].split()[2].removesuffix("/metrics,")
        return self

    def __exit__(self, *_):
        self.endpoints.stop()

    def get(self, path, **how):
        """Request a path; return status, headers and text."""
        return get(self.url + path, **how)

    def connection(self):
        """Open a connection; it is the caller's to close."""
        where = urlsplit(self.url)
        return socket.create_connection((where.hostname, where.port), timeout=PATIENCE_S)


def get(url, method="GET", accept=None):
    """Request a URL; return status, headers and text."""
    where = urlsplit(url)
    with contextlib.closing(http.client.HTTPConnection(where.hostname, where.port, timeout=PATIENCE_S)) as connection:
        connection.request(method, where.path, headers={"Accept": accept} if accept else {})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read().decode()


def scraped(text, content_type="text/plain"):
    """Parse a scrape; return its families by name."""
    parse = parse_openmetrics if "openmetrics" in content_type else parse_plain
    families = list(parse(text))
    assert len({family.name for family in families}) == len(families)
    return {family.name: family for family in families}


def scrape(url, accept=None):
    """Scrape; return the families by name."""
    status, headers, text = get(f"{url}/metrics", accept=accept)
    assert status == 200
    return scraped(text, headers["Content-Type"])


def values(families):
    """Give every sample's value by its name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families.values()
        for sample in family.samples
    }


def value(families, name, /, **labels):
    """Give one sample's value."""
    return values(families)[name, tuple(sorted(labels.items()))]


def seconds(since):
    """Give how long ago that was."""
    return time.monotonic() - since
