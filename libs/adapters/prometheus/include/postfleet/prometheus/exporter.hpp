// PrometheusExporter: base Metrics as Prometheus text (exposition format 0.0.4).
//
// text() collects and renders in one go; a gauge that is computed runs on the calling thread.
// Threads: thread-safe, as Metrics is; takes as long as there are series (about 1 us each), so it is for
// the admin thread, not for a shard. Errors: none.
#pragma once

#include <string>

#include "postfleet/base/metrics.hpp"

namespace postfleet {

class PrometheusExporter final {
public:
    static constexpr const char* kContentType = "text/plain; version=0.0.4; charset=utf-8";

    explicit PrometheusExporter(Metrics& metrics) : metrics_(metrics) {}
    std::string text() const;

private:
    Metrics& metrics_;
};

}  // namespace postfleet
