// TlsReporter: sends what TlsTallies has counted, a day after the other (RFC 8460 §3, §5).
//
//   tick ─▶ due ─▶ TXT _smtp._tls.<domain> ─▶ nobody asks for it: done
//                                         └▶ for each `rua`: mailto ─▶ a message into our own spool (Handover)
//                                                            https  ─▶ POST (HttpClient)
//           one of them took it: done; else it comes again in an hour, for two days
//
// A report travels as any other mail, by the virtual MTA that the configuration says, and waives TLS policies: it may be
// about the very TLS that it has to pass.
//
// Threads: confined to shard 0, configure() apart.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "engine.hpp"
#include "postfleet/base/id.hpp"
#include "postfleet/ports/compressor.hpp"
#include "postfleet/ports/handover.hpp"
#include "postfleet/tls_report/record.hpp"
#include "tls_tallies.hpp"

namespace postfleet::sender {

class TlsReporter final {
public:
    static constexpr std::size_t kAtOnce = 20;  // reports begun per tick
    static constexpr Duration kTick = std::chrono::minutes(1);
    static constexpr Duration kFirstTick = std::chrono::seconds(5);  // what became due while we were away

    TlsReporter(Engine& engine, Handover& handover, const Compressor* compressor);

    void start();
    void tick();

private:
    // One report on its way. shared_ptr because every destination holds it.
    struct Sending {
        tls_report::Report report;
        config::TlsReports settings;
        std::string gzipped;
        std::size_t open = 0;  // destinations that have not answered
        bool is_taken = false;
        std::string problem;
    };

    void begin(TlsTallies::Due&& due, const config::Config& config);
    void on_record(const std::shared_ptr<Sending>& sending, const TxtAnswer& record);
    void send_mail(const std::shared_ptr<Sending>& sending, const std::string& to);
    void send_https(const std::shared_ptr<Sending>& sending, const tls_report::Destination& to);
    void on_sent(const std::shared_ptr<Sending>& sending, const Status& status);
    void finish(const Sending& sending);

    Engine& engine_;
    Handover& handover_;
    const Compressor* const compressor_;  // null: nothing is sent
    Executor& executor_;
    IdGenerator ids_;
    Counter &mailed_, &posted_, &failed_;
};

}  // namespace postfleet::sender
