"""Submits mail to Postfleet by gRPC (docs/SUBMITTING_BY_GRPC.md).

    pip install grpcio grpcio-tools        # Debian: apt install python3-grpcio python3-grpc-tools
    python -m grpc_tools.protoc -I proto --python_out=. --grpc_python_out=. postfleet/v1/submission.proto
    python submit.py 127.0.0.1:2526 orders@shop.example alice@customer.example bob@customer.example
"""
import sys

import grpc
from postfleet.v1 import submission_pb2 as pb
from postfleet.v1.submission_pb2_grpc import SubmissionServiceStub


def order_mail(sender, recipient, number):
    return pb.Submission(**{"from": pb.Address(address=sender, name="The Shop")}, to=[pb.Address(address=recipient)],
                         subject="Your order", text="It is on its way.", html="<p>It is on its way.</p>",
                         job="orders", metadata={"order": str(number)}, idempotency_key=f"order-{number}")


def send_one(service, submission, metadata=()):
    """Returns the message's id; raises grpc.RpcError. UNAVAILABLE and DEADLINE_EXCEEDED: try again, with the same key."""
    return service.Send(submission, timeout=30, metadata=metadata).message_id


def send_many(service, submissions, metadata=()):
    """Yields each submission with its result, in the order of the results."""
    sent = []

    def stream():
        for submission in submissions:
            sent.append(submission)
            yield submission

    for result in service.SendMany(stream(), timeout=600, metadata=metadata):
        yield sent[result.place], result


def main(address, sender, *recipients):
    with grpc.insecure_channel(address) as channel:
        service = SubmissionServiceStub(channel)
        print("sent", send_one(service, order_mail(sender, recipients[0], 1)))
        rest = [order_mail(sender, recipient, number) for number, recipient in enumerate(recipients[1:], 2)]
        for submission, result in send_many(service, rest):
            outcome = pb.SubmissionResult.Outcome.Name(result.outcome)
            print(outcome, submission.idempotency_key, result.message_id or result.problem)


if __name__ == "__main__":
    main(*sys.argv[1:])
