"""Objects pass the port's contract suite: in a directory, and in S3 as moto's server speaks it."""

import re
import subprocess
import sys
import time
import urllib.request

import pytest

from modeldyno.domain.errors import ObjectError
from modeldyno.objects import directory_objects, s3_objects
from modeldyno.testing.contracts.objects import ObjectStoreContract


class TestDirectory(ObjectStoreContract):
    @pytest.fixture
    def objects(self, tmp_path_factory):
        return directory_objects(tmp_path_factory.mktemp("objects") / "s3")


@pytest.fixture(scope="module")
def s3_url(tmp_path_factory):
    log = tmp_path_factory.mktemp("moto") / "log"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    with log.open("wb") as output, subprocess.Popen(command, stderr=output, stdout=output) as server:
        try:
            while not (found := re.search(r"http://127\.0\.0\.1:\d+", log.read_text())):
                assert server.poll() is None, log.read_text()
                time.sleep(0.05)
            yield found[0]
        finally:
            server.kill()


class TestS3(ObjectStoreContract):
    @pytest.fixture
    def objects(self, s3_url):
        def post(path, method):
            headers = {"Authorization": "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/s3/aws4_request"}
            request = urllib.request.Request(s3_url + path, method=method, headers=headers)
            urllib.request.urlopen(request, timeout=10).close()

        post("/moto-api/reset", "POST")
        post("/bucket", "PUT")
        return s3_objects(
            endpoint_url=s3_url, region="us-east-1", access_key_id="x", secret_access_key="y", allow_http=True
        )

    def test_plain_http_is_used_only_where_it_is_allowed(self, s3_url):
        careful = s3_objects(endpoint_url=s3_url, region="us-east-1", access_key_id="x", secret_access_key="y")
        with pytest.raises(ObjectError, match="s3://bucket/key"):
            careful.read("s3://bucket/key", 10)
