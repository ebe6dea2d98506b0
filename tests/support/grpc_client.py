"""The Python client of proto/postfleet/v1/submission.proto, generated anew for a test, with Debian's grpcio."""
import atexit
import os
import shutil
import subprocess
import sys
import tempfile

PROTO = os.path.join(os.path.dirname(__file__), "../../proto")
DEBIAN_PYTHON = "/usr/bin/python3"


def import_grpc():
    """Also where python3 is not Debian's: its packages serve another one of the same version; else it runs the test."""
    try:
        import grpc
    except ImportError:
        sys.path.append("/usr/lib/python3/dist-packages")
        try:
            import grpc
        except ImportError:
            os.execv(DEBIAN_PYTHON, [DEBIAN_PYTHON, "-W", "ignore::ResourceWarning", *sys.argv])
    return grpc


def generate():
    """The modules submission_pb2 and submission_pb2_grpc, as an application makes them."""
    folder = tempfile.mkdtemp(prefix="postfleet-grpc-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    subprocess.run([DEBIAN_PYTHON, "-m", "grpc_tools.protoc", "-I", PROTO, f"--python_out={folder}",
                    f"--grpc_python_out={folder}", "postfleet/v1/submission.proto"], check=True, timeout=120)
    sys.path.insert(0, folder)
    from postfleet.v1 import submission_pb2, submission_pb2_grpc
    return submission_pb2, submission_pb2_grpc
