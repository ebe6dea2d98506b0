#include "resolver_metrics.hpp"

namespace postfleet::dns {

namespace {

using Outcome = ResolverMetrics::Outcome;

constexpr const char* kLookups = "postfleet_dns_lookups_total";
constexpr const char* kLookupsHelp = "Look-ups that were not answered from the cache, by what came of them.";

Outcome outcome_of(const Answer& answer) {
    const auto is_bogus = [](const auto& of_type) { return of_type.state == DnsState::Bogus; };
    if (std::visit(is_bogus, answer)) return Outcome::Bogus;
    return std::visit(
        [](const auto& of_type) {
            using Kind = decltype(of_type.kind);
            if (of_type.kind == Kind::Found) return Outcome::Found;
            return of_type.kind == Kind::Temporary ? Outcome::Failed : Outcome::None;
        },
        answer);
}

}  // namespace

ResolverMetrics::OfKind::OfKind(Metrics& metrics, const char* kind)
    : cache_hits(
          metrics.counter("postfleet_dns_cache_hits_total", "Look-ups answered from the cache.", {{"type", kind}})),
      answers{},
      latency(metrics.histogram("postfleet_dns_lookup_seconds", "How long look-ups took, without those from the cache.",
                                {{"type", kind}})) {
    constexpr std::array<const char*, kOutcomes> kNames{"found", "none", "failed", "bogus"};  // as in Outcome
    for (std::size_t i = 0; i < kOutcomes; ++i) {
        answers[i] = &metrics.counter(kLookups, kLookupsHelp, {{"type", kind}, {"result", kNames[i]}});
    }
}

ResolverMetrics::ResolverMetrics(Metrics& metrics)
    : kinds{OfKind(metrics, "mx"), OfKind(metrics, "host"), OfKind(metrics, "tlsa"), OfKind(metrics, "txt")},
      refused(metrics.counter("postfleet_dns_refused_total", "Look-ups refused because too many were under way.")),
      requests(metrics.gauge("postfleet_dns_requests", "Callers that wait for an answer.")),
      queries(metrics.gauge("postfleet_dns_queries", "Queries that are under way.")) {}

void ResolverMetrics::on_answer(Lookup::Kind kind, const Answer& answer, Duration took) {
    OfKind& counted = of(kind);
    counted.answers[static_cast<std::size_t>(outcome_of(answer))]->add();
    counted.latency.observe(std::chrono::duration<double>(took).count());
}

}  // namespace postfleet::dns
