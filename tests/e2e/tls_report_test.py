"""TLS reports (RFC 8460) over real sockets: a day of deliveries, and what the domain that asked hears of it the day after,
by mail and by POST. The clock of the process is moved by the library of the torture tests."""

import datetime
import email
import gzip
import json
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "torture"))

from dns_server import DnsServer  # noqa: E402
from faults import Faults  # noqa: E402
from harness import EndToEnd, Sink, wait_for  # noqa: E402
from mta_sts_test import PolicyHost  # noqa: E402
from tls_out_test import Authority, Mx  # noqa: E402

GOOD, BAD, REPORTS, WEB = (f"127.0.31.{n}" for n in (1, 2, 3, 4))


class ReportHost(PolicyHost):
    """Takes what is posted to it; `posted` has (first line and fields, body) of each."""

    address = WEB

    def __init__(self, certificate):
        self.posted = []
        super().__init__(certificate)

    def _answer(self, secured, stream, lines):
        size = next(int(line.split(":")[1]) for line in lines if line.lower().startswith("content-length:"))
        self.posted.append((lines, stream.read(size)))
        secured.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")


class TlsReports(EndToEnd):
    def test_a_days_sessions_are_reported_by_mail_and_by_post(self):
        authority = Authority()
        self.closers.append(authority)
        good = Mx(authority.certificate("mx1.rpt.test"), address=GOOD, port=25)
        bad = Mx(authority.certificate("elsewhere.test"), address=BAD, port=25)
        mailbox = Sink(address=REPORTS, port=25)
        web = ReportHost(authority.certificate("rua.test"))
        names = DnsServer(ttl=1)
        self.closers += [good, bad, mailbox, web, names]
        names.set("rpt.test", "MX", [(10, "mx2.rpt.test"), (20, "mx1.rpt.test")])
        names.set("mx1.rpt.test", "A", [GOOD]).set("mx2.rpt.test", "A", [BAD])
        names.set("_smtp._tls.rpt.test", "TXT", ["v=TLSRPTv1; rua=mailto:tls@box.test,https://rua.test/v1/report"])
        names.set("box.test", "MX", [(10, "mx.box.test")]).set("mx.box.test", "A", [REPORTS])
        names.set("rua.test", "A", [WEB])
        stack = self.stack(f'dns: {{servers: ["{names.address}"]}}\nhttps_client: {{ca_file: {authority.file}}}\n'
                           "tls_reports: {from: reports@mta.test, organization: Example Mail}\n"
                           f"shaping:\n  - {{retry_after: [300ms], tls_ca_file: {authority.file}}}\n"
                           "  - {match: {domain: rpt.test}, tls: verify}\n")
        faults = Faults(stack.base)
        self.addCleanup(faults.close)
        # Not so close to midnight that the day ends under way, and not before the certificates begin: the next noon.
        now = datetime.datetime.now(datetime.timezone.utc)
        noon = now.replace(hour=12, minute=0, second=0) + datetime.timedelta(days=1)
        faults.move_clock((noon - now).total_seconds())
        stack.start(env=faults.environment())
        for n in range(3):
            stack.send(f"to{n}@rpt.test")
            stack.wait_events(n + 1, "delivered")
        stack.stop()

        tomorrow = noon + datetime.timedelta(hours=18)   # every domain's moment of the next morning has passed
        faults.move_clock((tomorrow - now).total_seconds())
        stack.start(env=faults.environment())
        wait_for(lambda: web.posted and mailbox.deliveries, "the reports")

        lines, body = web.posted[0]
        self.assertEqual(lines[0], "POST /v1/report HTTP/1.1")
        self.assertIn("content-type: application/tlsrpt+gzip", [line.lower() for line in lines])
        posted = json.loads(gzip.decompress(body))
        delivery = mailbox.deliveries[0]
        self.assertEqual(delivery.recipient, "tls@box.test")
        message = email.message_from_bytes(delivery.content)
        self.assertEqual(message.get_content_type(), "multipart/report")
        self.assertEqual((message["TLS-Report-Domain"], message["TLS-Required"]), ("rpt.test", "No"))
        attached = next(part for part in message.walk() if part.get_content_type() == "application/tlsrpt+gzip")
        self.assertEqual(json.loads(gzip.decompress(attached.get_payload(decode=True))), posted)

        self.assertEqual(posted["organization-name"], "Example Mail")
        day = noon.strftime("%Y-%m-%d")
        self.assertEqual((posted["date-range"]["start-datetime"], posted["date-range"]["end-datetime"]),
                         (f"{day}T00:00:00Z", f"{day}T23:59:59Z"))
        self.assertEqual(len(posted["policies"]), 1)
        policy = posted["policies"][0]
        self.assertEqual((policy["policy"]["policy-type"], policy["policy"]["policy-domain"]),
                         ("no-policy-found", "rpt.test"))
        self.assertGreaterEqual(policy["summary"]["total-successful-session-count"], 1)
        self.assertGreaterEqual(policy["summary"]["total-failure-session-count"], 1)
        failure = policy["failure-details"][0]
        self.assertEqual(failure["result-type"], "certificate-host-mismatch")
        self.assertEqual((failure["receiving-mx-hostname"], failure["receiving-ip"]), ("mx2.rpt.test", BAD))
        self.assertIn('postfleet_sender_tls_reports_total{by="https"} 1', stack.http("/metrics")[1])


if __name__ == "__main__":
    unittest.main(verbosity=2)
