// The message that carries a report.
#include "postfleet/base/base64.hpp"
#include "postfleet/tls_report/report.hpp"

namespace postfleet::tls_report {

namespace {

constexpr std::string_view kBoundary = "postfleet-tls-report";  // no line of base64 or of our text begins with "--"
constexpr std::size_t kLine = 76;                               // RFC 2045 §6.8

void add_base64(std::string& out, std::string_view octets) {
    const std::string text = base64_encode(octets);
    for (std::size_t at = 0; at < text.size(); at += kLine) {
        out.append(text, at, kLine);
        out += "\r\n";
    }
}

}  // namespace

std::string subject_of(const Report& report) {
    return "Report Domain: " + report.domain + " Submitter: " + report.submitter + " Report-ID: <" + report_id(report) +
           ">";
}

std::string report_mail(const Report& report, const MailFields& mail, std::string_view gzipped) {
    const std::string boundary(kBoundary), delimiter = "--" + boundary;
    std::string out = "From: <" + mail.from + ">\r\nTo: <" + mail.to + ">\r\n";
    out += "Date: " + format_rfc5322_date(mail.now) + "\r\nMessage-ID: " + mail.message_id + "\r\n";
    out += "Subject: Report Domain: " + report.domain + "\r\n Submitter: " + report.submitter + "\r\n Report-ID: <" +
           report_id(report) + ">\r\n";
    out += "TLS-Report-Domain: " + report.domain + "\r\nTLS-Report-Submitter: " + report.submitter + "\r\n";
    // It may be about the very TLS that it has to pass (RFC 8689 §5).
    out += "TLS-Required: No\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n";
    out += "Content-Type: multipart/report; report-type=\"tlsrpt\";\r\n boundary=\"" + boundary + "\"\r\n\r\n";
    out += delimiter + "\r\nContent-Type: text/plain; charset=\"us-ascii\"\r\nContent-Transfer-Encoding: 7bit\r\n\r\n";
    out += "This is an aggregate TLS report (RFC 8460) of the mail that\r\n" + report.submitter +
           "\r\nsent to the domain\r\n" + report.domain + "\r\n\r\n";
    out += delimiter + "\r\nContent-Type: application/tlsrpt+gzip\r\nContent-Transfer-Encoding: base64\r\n";
    out += "Content-Disposition: attachment;\r\n filename=\"" + file_name(report) + "\"\r\n\r\n";
    add_base64(out, gzipped);
    return out + delimiter + "--\r\n";
}

}  // namespace postfleet::tls_report
