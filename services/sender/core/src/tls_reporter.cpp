#include "tls_reporter.hpp"

#include <utility>

#include "postfleet/mail/address.hpp"

namespace postfleet::sender {

namespace {

constexpr const char* kReports = "postfleet_sender_tls_reports_total";
constexpr const char* kReportsHelp = "TLS reports, by how they were sent";

struct Outgoing {
    MessageId id;
    tls_report::MailFields mail;
    std::string content;
};

AcceptedMessage message_of(const tls_report::Report& report, Outgoing&& outgoing, const routing::BindResult& bound) {
    const tls_report::MailFields& mail = outgoing.mail;
    auto message = std::make_shared<Message>();
    message->id = outgoing.id;
    message->pool = bound.pool;
    message->priority = Priority::Low;
    message->accepted_at = mail.now;
    message->reverse_path = mail.from;
    message->tls_wish = TlsWish::Waived;
    message->listener = "tls-reports";
    message->has_leading_dots = false;
    message->size_octets = outgoing.content.size();
    message->header_from = mail.from;
    message->header_message_id = mail.message_id;
    message->header_subject = tls_report::subject_of(report);
    AcceptedMessage accepted;
    Task& task = accepted.tasks.emplace_back();
    task.key.message = outgoing.id;
    task.due = task.accepted_at = mail.now;
    task.domain = domain_of(mail.to);
    task.virtual_mta = bound.virtual_mta;
    task.pool = bound.pool;
    task.priority = message->priority;
    task.size_octets = message->size_octets;
    Recipient& recipient = task.recipients.emplace_back();
    recipient.address = mail.to;
    recipient.notify = kNotifyNever;  // a report about a report helps nobody
    accepted.message = std::move(message);
    accepted.last_chunk = std::make_shared<const std::string>(std::move(outgoing.content));
    return accepted;
}

}  // namespace

TlsReporter::TlsReporter(Engine& engine, Handover& handover, const Compressor* compressor)
    : engine_(engine),
      handover_(handover),
      compressor_(compressor),
      executor_(*engine.shards[0]->executor),
      mailed_(engine.metrics.registry.counter(kReports, kReportsHelp, {{"by", "mail"}})),
      posted_(engine.metrics.registry.counter(kReports, kReportsHelp, {{"by", "https"}})),
      failed_(engine.metrics.registry.counter("postfleet_sender_tls_report_failures_total",
                                              "Tries to send a TLS report that failed")) {}

void TlsReporter::start() {
    executor_.post([this] { executor_.schedule_at(executor_.now() + kFirstTick, [this] { tick(); }); });
}

void TlsReporter::tick() {
    executor_.schedule_at(executor_.now() + kTick, [this] { tick(); });
    engine_.tls_tallies.flush(TlsTallies::Part::Some, executor_);
    const auto config = engine_.configuration();
    if (!config->tls_reports || compressor_ == nullptr || engine_.is_draining()) return;
    for (TlsTallies::Due& due : engine_.tls_tallies.take_due(executor_.wall_now(), kAtOnce)) {
        begin(std::move(due), *config);
    }
}

void TlsReporter::begin(TlsTallies::Due&& due, const config::Config& config) {
    auto sending = std::make_shared<Sending>();
    sending->settings = *config.tls_reports;
    sending->report = {.organization = sending->settings.organization,
                       .contact = sending->settings.contact,
                       .domain = std::move(due.domain),
                       .submitter = config.hostname,
                       .day = due.day,
                       .tally = std::move(due.tally)};
    if (sending->report.contact.empty()) sending->report.contact = sending->settings.from;
    if (sending->report.organization.empty()) sending->report.organization = domain_of(sending->settings.from);
    engine_.dependencies.resolver.resolve_txt(
        "_smtp._tls." + sending->report.domain,
        {&executor_, [this, sending](const TxtAnswer& record) { on_record(sending, record); }});
}

void TlsReporter::on_record(const std::shared_ptr<Sending>& sending, const TxtAnswer& record) {
    if (record.kind == TxtAnswer::Kind::Temporary) return;  // it comes again
    const auto destinations = tls_report::parse_record(record.records);
    if (destinations.empty()) return engine_.tls_tallies.done(sending->report.day, sending->report.domain);
    sending->gzipped = compressor_->gzip(tls_report::to_json(sending->report));
    sending->open = destinations.size();
    for (const tls_report::Destination& to : destinations) {
        if (to.kind == tls_report::Destination::Kind::Mail) send_mail(sending, to.address);
        else send_https(sending, to);
    }
}

void TlsReporter::send_mail(const std::shared_ptr<Sending>& sending, const std::string& to) {
    const WallTime now = executor_.wall_now();
    Outgoing outgoing{.id = ids_.next(now), .mail = {.from = sending->settings.from, .to = to, .now = now}};
    outgoing.mail.message_id = "<" + outgoing.id.to_string() + "@" + sending->report.submitter + ">";
    const auto rules = engine_.routing();
    const routing::BindRequest request{.virtual_mta = sending->settings.virtual_mta,
                                       .mail_from = sending->settings.from,
                                       .rcpt_domain = domain_of(to)};
    const routing::BindResult bound = rules->bind(request, engine_.shards[0]->random());
    if (!bound) return on_sent(sending, Error{ErrorKind::NotFound, bound.refusal});
    outgoing.content = tls_report::report_mail(sending->report, outgoing.mail, sending->gzipped);
    AcceptedMessage accepted = message_of(sending->report, std::move(outgoing), bound);
    handover_.hand_over(std::move(accepted), {&executor_, [this, sending](Status status) {
                                                  if (status) mailed_.add();
                                                  on_sent(sending, status);
                                              }});
}

void TlsReporter::send_https(const std::shared_ptr<Sending>& sending, const tls_report::Destination& to) {
    HttpClient* const http = engine_.dependencies.http;
    if (http == nullptr) return on_sent(sending, Error{ErrorKind::Unavailable, "there is no HTTPS client"});
    engine_.dependencies.resolver.resolve_host(
        to.host, {&executor_, [this, sending, to, http](const MxAnswer& answer) {
                      HttpRequest request{.method = HttpRequest::Method::Post, .host = to.host, .target = to.target};
                      request.content_type = "application/tlsrpt+gzip";
                      request.body = sending->gzipped;
                      request.ca_file = engine_.configuration()->https_client.ca_file;
                      const auto rules = engine_.routing();
                      for (const MxHost& host : answer.hosts) {
                          for (const IpAddress& address : host.addresses) {
                              if (rules->may_connect_to(address)) request.addresses.push_back(address);
                          }
                      }
                      if (request.addresses.empty()) {
                          return on_sent(sending, Error{ErrorKind::Unavailable,
                                                        to.host + " has no address that may be connected to"});
                      }
                      http->send(std::move(request),
                                 {&executor_, [this, sending](const Result<HttpResponse>& got) {
                                      if (!got) return on_sent(sending, got.error());
                                      // §5.4
                                      if (got->status == 200 || got->status == 201) {
                                          posted_.add();
                                          return on_sent(sending, {});
                                      }
                                      on_sent(sending, Error{ErrorKind::Unavailable,
                                                             "the answer is status " + std::to_string(got->status)});
                                  }});
                  }});
}

void TlsReporter::on_sent(const std::shared_ptr<Sending>& sending, const Status& status) {
    if (status) sending->is_taken = true;
    else sending->problem = status.error().text;
    if (!status) failed_.add();
    if (--sending->open == 0) finish(*sending);
}

void TlsReporter::finish(const Sending& sending) {
    if (sending.is_taken) engine_.tls_tallies.done(sending.report.day, sending.report.domain);
    auto line = engine_.dependencies.log.line(LogLevel::Info, sending.is_taken ? "tls-report" : "tls-report-failed");
    line.field("domain", sending.report.domain).field("report", tls_report::report_id(sending.report));
    if (!sending.problem.empty()) line.field("reason", sending.problem);
}

}  // namespace postfleet::sender
