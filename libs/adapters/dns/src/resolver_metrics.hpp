// ResolverMetrics: what a resolver counts, by the kind of look-up. Threads: thread-safe.
#pragma once

#include <array>

#include "lookup.hpp"
#include "postfleet/base/metrics.hpp"

namespace postfleet::dns {

struct ResolverMetrics {
    enum class Outcome : std::uint8_t { Found, None, Failed, Bogus };
    static constexpr std::size_t kOutcomes = 4;
    struct OfKind {
        OfKind(Metrics& metrics, const char* kind);
        Counter& cache_hits;
        std::array<Counter*, kOutcomes> answers;
        Histogram& latency;
    };
    explicit ResolverMetrics(Metrics& metrics);

    OfKind& of(Lookup::Kind kind) { return kinds[static_cast<std::size_t>(kind)]; }
    void on_answer(Lookup::Kind kind, const Answer& answer, Duration took);

    std::array<OfKind, 4> kinds;  // as in Lookup::Kind
    Counter& refused;
    Gauge& requests;
    Gauge& queries;
};

}  // namespace postfleet::dns
