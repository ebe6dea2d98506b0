"""The accounting file: rows that tools for PowerMTA read, for mail that was received, delivered, deferred and bounced."""

import csv
import os
import unittest

from harness import EndToEnd, wait_for

ATTEMPT = ("type,timeLogged,timeQueued,orig,rcpt,orcpt,dsnAction,dsnStatus,dsnDiag,dsnMta,bounceCat,srcType,srcMta,"
           "dlvType,dlvSourceIp,dlvDestinationIp,dlvEsmtpAvailable,dlvSize,vmta,jobId,envId,queue,vmtaPool").split(",")


class Accounting(EndToEnd):
    def rows(self, folder):
        found = []
        for name in sorted(os.listdir(folder)):
            with open(os.path.join(folder, name), newline="") as f:
                lines = list(csv.reader(f))
            found += [dict(zip(lines[0], row)) for row in lines[1:]]
        return found

    def test_every_record_has_its_row_and_every_file_its_header(self):
        def rcpt(address, count):
            if address.startswith("gone"):
                return "550 5.1.1 no such user"
            if address.startswith("slow") and count == 1:
                return "451 4.7.1 greylisted"
            return "250 2.1.5 ok"

        sink = self.sink(rcpt=rcpt)
        stack = self.stack(
            f'routes: {{"*": ["127.0.0.1:{sink.port}"], "closed.test": ["127.0.0.1:1"]}}\n'
            "virtual_mtas:\n  v: {source: 127.0.0.9}\npools:\n  p: {members: [v]}\n"
            "shaping:\n  - {retry_after: 200ms}\n", listener="headers: honour")
        folder = os.path.join(stack.base, "acct")
        with open(os.path.join(stack.config, "accounting.yaml"), "w") as f:
            f.write("reports:\n  - type: accounting\n    name: acct\n"
                    f"    path: {folder}/acct.csv\n    records: [d, b, t, tq, r]\n"
                    '    columns: {d: ["*", header_X-Campaign]}\n    rotate_size: 4KiB\n')
        stack.start()
        headers = [("X-Virtual-MTA", "p"), ("X-Job", "spring"), ("X-EnvID", "e7"), ("X-Campaign", 'a, "b"')]
        stack.send("fine@a.test", headers=headers)
        stack.send("gone@a.test", headers=headers)
        stack.send("slow@a.test", headers=headers)
        stack.send("lost@closed.test", headers=headers)
        kinds = ["r"] * 4 + ["d"] * 2 + ["b", "t"]
        def is_there():
            have = [row["type"] for row in self.rows(folder)] if os.path.isdir(folder) else []
            return all(have.count(kind) >= kinds.count(kind) for kind in kinds + ["tq"])
        wait_for(is_there, "a row for every record")
        rows = self.rows(folder)

        self.assertEqual(list(rows[0])[:len(ATTEMPT)], ATTEMPT)
        delivered = next(r for r in rows if r["type"] == "d" and r["rcpt"] == "fine@a.test")
        self.assertEqual({name: delivered[name] for name in
                          ("orig", "dsnAction", "dsnStatus", "dlvType", "dlvSourceIp", "dlvDestinationIp", "vmta",
                           "jobId", "envId", "vmtaPool", "srcType", "srcMta", "header_X-Campaign", "bounceCat")},
                         {"orig": "from@src.test", "dsnAction": "relayed", "dsnStatus": "2.0.0 (success)",
                          "dlvType": "smtp", "dlvSourceIp": "127.0.0.9", "dlvDestinationIp": "127.0.0.1", "vmta": "v",
                          "jobId": "spring", "envId": "e7", "vmtaPool": "p", "srcType": "smtp",
                          "srcMta": "client.test (127.0.0.1)", "header_X-Campaign": 'a, "b"', "bounceCat": ""})
        self.assertTrue(delivered["dsnDiag"].startswith("smtp;250 "), delivered["dsnDiag"])
        self.assertIn("PIPELINING", delivered["dlvEsmtpAvailable"])
        self.assertEqual(delivered["queue"].split("/")[1], "v")
        size = next(len(d.content) for d in sink.deliveries if d.recipient == "fine@a.test")
        self.assertEqual(int(delivered["dlvSize"]), size)

        bounced = next(r for r in rows if r["type"] == "b")
        self.assertEqual((bounced["rcpt"], bounced["dsnAction"], bounced["dsnStatus"], bounced["bounceCat"], bounced["dlvSize"]),
                         ("gone@a.test", "failed", "5.1.1 (bad destination mailbox address)", "bad-mailbox", ""))
        deferred = next(r for r in rows if r["type"] == "t" and r["rcpt"] == "slow@a.test")
        self.assertEqual((deferred["dsnAction"], deferred["dsnStatus"]), ("delayed", "4.7.1 (delivery not authorized)"))
        self.assertIn("greylisted", deferred["dsnDiag"])
        queue = next(r for r in rows if r["type"] == "tq")
        self.assertEqual((queue["queue"], queue["vmta"], queue["rcpt"]), ("closed.test/v", "v", ""))
        received = next(r for r in rows if r["type"] == "r")
        self.assertEqual((received["vmta"], received["rcvSourceIp"], received["rcvDestinationIp"]),
                         ("p", "127.0.0.1", "127.0.0.1"))

        # Files are put aside under their day and number; each of them begins with the same header.
        for n in range(20):
            stack.send(f"more{n}@a.test")
        wait_for(lambda: any(name.endswith("-0000.csv") for name in os.listdir(folder)), "a rotated file")
        for name in os.listdir(folder):
            self.assertRegex(name, r"^acct(-\d{4}-\d\d-\d\d-\d{4})?\.csv$")
            with open(os.path.join(folder, name)) as f:
                self.assertEqual(f.readline().strip().split(",")[:len(ATTEMPT)], ATTEMPT)


if __name__ == "__main__":
    unittest.main(verbosity=2)
