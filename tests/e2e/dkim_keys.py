"""Keys made by `postfleet dkim key`, and their records as a name server has them."""

import os
import re

from harness import run


class Keys:
    def __init__(self, folder):
        self.folder, self.records = folder, {}

    def make(self, domain, selector, kind="rsa"):
        path = os.path.join(self.folder, f"{domain}.{selector}.pem")
        done = run("dkim", "key", "--domain", domain, "--selector", selector, "--type", kind, "--out", path)
        name = re.search(r"^  name   (\S+)$", done.stdout, re.M).group(1)
        self.records[name] = re.search(r"^  value  (.+)$", done.stdout, re.M).group(1)
        assert os.stat(path).st_mode & 0o777 == 0o600
        return path

    def serve(self, dns):
        for name, text in self.records.items():
            dns.set(name, "TXT", [[text[i:i + 255] for i in range(0, len(text), 255)]])
        return dns
