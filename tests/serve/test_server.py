"""Test the start of the service: which addresses and tokens are allowed."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("uvicorn", reason="uvicorn is missing: pip install -r requirements.txt")

from runtime.errors import UserError
from serve.server import TOKEN_VARIABLE, address, bound_socket, required_token, serve

TOKEN = "a-token-of-22-letters."


@pytest.fixture(autouse=True)
def no_token(monkeypatch):
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_this_machine_needs_no_token(host):
    assert required_token(host, None) is None
    assert required_token(host, TOKEN) == TOKEN


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.7", "example.org", "", "127.0.0.2"])
def test_other_addresses_need_one(host, monkeypatch):
    with pytest.raises(UserError, match=r"Pass --token, or set MEMEFUSE_TOKEN"):
        required_token(host, None)
    monkeypatch.setenv(TOKEN_VARIABLE, "")
    with pytest.raises(UserError, match="Pass --token"):
        required_token(host, None)
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    assert required_token(host, None) == TOKEN
    assert required_token(host, TOKEN + "2") == TOKEN + "2"


@pytest.mark.parametrize("token", ["short", "with spaces " * 3, "é" * 20, "a" * 201, TOKEN + "\n"])
def test_a_token_that_is_weak_or_fits_no_header_is_refused(token):
    with pytest.raises(UserError, match="--token: allowed are 16 to 200 letters"):
        required_token("127.0.0.1", token)


def test_a_port_in_use_and_a_foreign_address_are_refused():
    with bound_socket("127.0.0.1", 0) as listener:
        listener.listen()
        port = listener.getsockname()[1]
        assert address("127.0.0.1", listener) == f"http://127.0.0.1:{port}/"
        with pytest.raises(UserError, match=rf"127\.0\.0\.1, port {port}: Address already in use"):
            bound_socket("127.0.0.1", port)
    with pytest.raises(UserError, match="--port: found 70000, allowed: 0 to 65535"):
        bound_socket("127.0.0.1", 70000)
    with pytest.raises(UserError, match="Choose another"):
        bound_socket("192.0.2.1", 0)
    with pytest.raises(UserError, match="no address of this machine"):
        bound_socket("no such host", 0)


def test_an_unfinished_run_is_a_user_error(tmp_path):
    with pytest.raises(UserError):
        serve(tmp_path / "none", "127.0.0.1", 0, None, "cpu", "train")


def test_a_bad_host_is_refused_before_models_are_imported():
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from runtime.errors import UserError\n"
        "from serve.server import serve\n"
        "try:\n"
        "    serve(Path('none'), '0.0.0.0', 0, None, 'cpu', 'train')\n"
        "except UserError:\n"
        "    sys.exit('torch' in sys.modules)\n"
        "sys.exit(2)\n"
    )
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
