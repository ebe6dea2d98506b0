// The report of RFC 8460's appendix B, and the message of its §5.3.
#include "postfleet/tls_report/report.hpp"

#include <catch2/catch.hpp>

using namespace postfleet;
using namespace postfleet::tls_report;

namespace {

Report example() {
    Report report{.organization = "Company-X",
                  .contact = "sts-reporting@company-x.example",
                  .domain = "company-y.example",
                  .submitter = "mail.company-x.example",
                  .day = Day(std::chrono::year(2016) / 4 / 1)};
    const AppliedPolicy policy{PolicyType::Sts,
                               {"version: STSv1", "mode: testing", "mx: *.mail.company-y.example", "max_age: 86400"},
                               {"*.mail.company-y.example"}};
    for (int i = 0; i < 5326; ++i) report.tally.add(policy, {});
    report.tally.add(policy,
                     Failure{"certificate-expired", "2001:db8:abcd:12::1", "mx1.mail.company-y.example", "", "", 100});
    report.tally.add(policy, Failure{"starttls-not-supported", "2001:db8:abcd:13::1", "mx2.mail.company-y.example",
                                     "203.0.113.56", "", 200});
    report.tally.add(policy, Failure{"validation-failure", "198.51.100.62", "mx-backup.mail.company-y.example",
                                     "203.0.113.58", "X509_V_ERR_PROXY_PATH_LENGTH_EXCEEDED", 3});
    return report;
}

constexpr const char* kExample =
    R"({"organization-name":"Company-X","date-range":{"start-datetime":"2016-04-01T00:00:00Z",)"
    R"("end-datetime":"2016-04-01T23:59:59Z"},"contact-info":"sts-reporting@company-x.example",)"
    R"("report-id":"2016-04-01_company-y.example@mail.company-x.example","policies":[{"policy":{"policy-type":"sts",)"
    R"("policy-string":["version: STSv1","mode: testing","mx: *.mail.company-y.example","max_age: 86400"],)"
    R"("policy-domain":"company-y.example","mx-host":["*.mail.company-y.example"]},)"
    R"("summary":{"total-successful-session-count":5326,"total-failure-session-count":303},"failure-details":[)"
    R"({"result-type":"certificate-expired","sending-mta-ip":"2001:db8:abcd:12::1",)"
    R"("receiving-mx-hostname":"mx1.mail.company-y.example","failed-session-count":100},)"
    R"({"result-type":"starttls-not-supported","sending-mta-ip":"2001:db8:abcd:13::1",)"
    R"("receiving-mx-hostname":"mx2.mail.company-y.example","receiving-ip":"203.0.113.56","failed-session-count":200},)"
    R"({"result-type":"validation-failure","sending-mta-ip":"198.51.100.62",)"
    R"("receiving-mx-hostname":"mx-backup.mail.company-y.example","receiving-ip":"203.0.113.58",)"
    R"("failed-session-count":3,"failure-reason-code":"X509_V_ERR_PROXY_PATH_LENGTH_EXCEEDED"}]}]})";

}  // namespace

TEST_CASE("the example of RFC 8460 appendix B is written as it stands there", "[RFC8460][golden]") {
    CHECK(to_json(example()) == kExample);
    CHECK(file_name(example()) == "mail.company-x.example!company-y.example!1459468800!1459555199.json.gz");
}

TEST_CASE("without a policy the report says so, and has no empty lists", "[RFC8460]") {
    Report report{.organization = "o", .contact = "c", .domain = "d.test", .submitter = "s.test"};
    report.tally.add({}, {});
    const std::string json = to_json(report);
    CHECK(json.find(R"("policy":{"policy-type":"no-policy-found","policy-domain":"d.test"})") != std::string::npos);
    CHECK(json.find("failure-details") == std::string::npos);
}

TEST_CASE("a report travels as RFC 8460 §5.3 has it, in lines that every server takes", "[RFC8460][X8689]") {
    const MailFields fields{.from = "tls@company-x.example",
                            .to = "reports@company-y.example",
                            .message_id = "<1@mail.company-x.example>",
                            .now = WallTime(Day(std::chrono::year(2016) / 4 / 2))};
    const std::string mail = report_mail(example(), fields, std::string(1000, '\x1f'));
    for (const char* part :
         {"From: <tls@company-x.example>\r\n", "To: <reports@company-y.example>\r\n",
          "Subject: Report Domain: company-y.example\r\n Submitter: mail.company-x.example\r\n Report-ID: <2016-04-01_",
          "\r\nTLS-Report-Domain: company-y.example\r\n", "\r\nTLS-Report-Submitter: mail.company-x.example\r\n",
          "\r\nTLS-Required: No\r\n", "multipart/report; report-type=\"tlsrpt\";",
          "Content-Type: application/tlsrpt+gzip\r\n",
          "filename=\"mail.company-x.example!company-y.example!1459468800!1459555199.json.gz\"\r\n"}) {
        CAPTURE(part);
        CHECK(mail.find(part) != std::string::npos);
    }
    std::size_t begin = 0;
    for (std::size_t end; (end = mail.find("\r\n", begin)) != std::string::npos; begin = end + 2) {
        CHECK(end - begin <= 200);
        CHECK(mail[begin] != '.');
    }
    CHECK(begin == mail.size());
}
