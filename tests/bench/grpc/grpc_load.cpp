// An application that submits mail by gRPC, for tests/bench/grpc/run.
//
//   grpc_load 127.0.0.1:2526 --how send --connections 4 --window 5      20 calls of Send at any time
//   grpc_load 127.0.0.1:2526 --how stream --connections 4 --window 5    4 streams of SendMany, 5 of each without a result
//
// The mail is that of `postfleet load`, so `postfleet sink` counts it. Every submission has a result, or it counts as failed;
// the report is JSON.
#include <fmt/format.h>
#include <grpcpp/grpcpp.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "postfleet/base/json.hpp"
#include "postfleet/base/time.hpp"
#include "postfleet/v1/submission.grpc.pb.h"
#include "tools/latency.hpp"
#include "tools/load_message.hpp"

using namespace postfleet;

namespace {

using Stub = v1::SubmissionService::Stub;

struct Options {
    std::string target, how = "send";
    std::uint64_t messages = 10'000;
    unsigned connections = 4, window = 5;
    tools::LoadOptions mail;
};

// What all calls share. Thread-safe.
class Source {
public:
    explicit Source(const Options& options) : options_(options), maker_(options.mail) {}

    // False: there is none any more.
    bool next(v1::Submission& mail) {
        const std::uint64_t number = next_.fetch_add(1, std::memory_order_relaxed);
        if (number >= options_.messages) return false;
        thread_local std::string head;
        mail.Clear();
        maker_.append_from(*mail.mutable_mail_from(), number);
        maker_.append_recipient(*mail.add_recipients()->mutable_address(), number, 0);
        const auto pieces = maker_.content(number, steady_clock_now(), head);
        mail.mutable_mime()->append(pieces[0].octets).append(pieces[1].octets).append("\r\n");
        return true;
    }

    void on_result(bool accepted, const std::string& problem, SteadyTime sent) {
        const std::lock_guard lock(mutex_);
        last_ = steady_clock_now();
        latency_.add(last_ - sent);
        ++(accepted ? accepted_ : failed_);
        if (!accepted && problem_.empty()) problem_ = problem;
    }
    void on_call_over(const grpc::Status& status) {
        const std::lock_guard lock(mutex_);
        if (!status.ok() && problem_.empty()) problem_ = status.error_message();
        if (--calls_left_ == 0) over_.notify_one();
    }

    void begin(unsigned calls) {
        calls_left_ = calls;
        started_ = steady_clock_now();
    }
    void wait() {
        std::unique_lock lock(mutex_);
        over_.wait(lock, [this] { return calls_left_ == 0; });
    }
    bool report() {
        const double seconds = std::chrono::duration<double>(last_ - started_).count();
        const auto milliseconds = [&](double share) {
            return std::chrono::duration<double, std::milli>(latency_.quantile(share)).count();
        };
        std::string out;
        JsonWriter json(out);
        json.begin_object().member("seconds", seconds).member("accepted", accepted_);
        json.member("accepted_per_second", seconds > 0 ? static_cast<double>(accepted_) / seconds : 0.0);
        json.member("failed", options_.messages - accepted_).member("problem", problem_);
        json.key("accept_ms").begin_object().member("p50", milliseconds(0.5)).member("p99", milliseconds(0.99));
        json.end_object().end_object();
        fmt::print("{}\n", out);
        return accepted_ == options_.messages;
    }

private:
    const Options& options_;
    const tools::MessageMaker maker_;
    std::atomic<std::uint64_t> next_{0};
    std::mutex mutex_;
    std::condition_variable over_;
    unsigned calls_left_ = 0;
    std::uint64_t accepted_ = 0, failed_ = 0;
    tools::LatencyHistogram latency_;
    std::string problem_;
    SteadyTime started_{}, last_{};
};

// One call of Send after the other.
class Caller {
public:
    Caller(Source& source, Stub& stub) : source_(source), stub_(stub) {}

    void send() {
        if (!source_.next(request_)) return source_.on_call_over(grpc::Status::OK);
        context_ = std::make_unique<grpc::ClientContext>();
        sent_ = steady_clock_now();
        stub_.async()->Send(context_.get(), &request_, &result_, [this](const grpc::Status& status) {
            source_.on_result(status.ok(), status.error_message(), sent_);
            send();
        });
    }

private:
    Source& source_;
    Stub& stub_;
    std::unique_ptr<grpc::ClientContext> context_;
    v1::Submission request_;
    v1::SubmissionResult result_;
    SteadyTime sent_{};
};

// One call of SendMany, with so many under way.
class Stream final : public grpc::ClientBidiReactor<v1::Submission, v1::SubmissionResult> {
public:
    Stream(Source& source, Stub& stub, unsigned window) : source_(source), window_(window) {
        stub.async()->SendMany(&context_, this);
    }
    void begin() {
        StartRead(&result_);
        write_next();
        StartCall();
    }

    void OnWriteDone(bool ok) override {
        {
            const std::lock_guard lock(mutex_);
            is_writing_ = false;
        }
        if (ok) write_next();
    }
    void OnReadDone(bool ok) override {
        if (!ok) return;
        const bool accepted = result_.outcome() == v1::SubmissionResult::ACCEPTED;
        {
            const std::lock_guard lock(mutex_);
            source_.on_result(accepted, result_.problem(), sent_.at(result_.place()));
            --under_way_;
        }
        StartRead(&result_);
        write_next();
    }
    void OnDone(const grpc::Status& status) override { source_.on_call_over(status); }

private:
    void write_next() {
        const std::lock_guard lock(mutex_);
        if (is_writing_ || is_over_ || under_way_ == window_) return;
        if (!source_.next(request_)) {
            is_over_ = true;
            return StartWritesDone();
        }
        is_writing_ = true;
        ++under_way_;
        sent_.push_back(steady_clock_now());
        StartWrite(&request_);
    }

    Source& source_;
    const unsigned window_;
    grpc::ClientContext context_;
    v1::Submission request_;
    v1::SubmissionResult result_;
    std::mutex mutex_;
    bool is_writing_ = false, is_over_ = false;
    unsigned under_way_ = 0;
    std::vector<SteadyTime> sent_;  // by place
};

std::vector<std::unique_ptr<Stub>> connect(const Options& options) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // a connection for each
    std::vector<std::unique_ptr<Stub>> stubs;
    for (unsigned i = 0; i < options.connections; ++i) {
        stubs.push_back(v1::SubmissionService::NewStub(
            grpc::CreateCustomChannel(options.target, grpc::InsecureChannelCredentials(), arguments)));
    }
    return stubs;
}

bool run(const Options& options) {
    Source source(options);
    const auto stubs = connect(options);
    std::vector<std::unique_ptr<Caller>> callers;
    std::vector<std::unique_ptr<Stream>> streams;
    for (const auto& stub : stubs) {
        if (options.how == "stream") {
            streams.push_back(std::make_unique<Stream>(source, *stub, options.window));
            continue;
        }
        for (unsigned i = 0; i < options.window; ++i) callers.push_back(std::make_unique<Caller>(source, *stub));
    }
    source.begin(static_cast<unsigned>(callers.size() + streams.size()));
    for (const auto& caller : callers) caller->send();
    for (const auto& stream : streams) stream->begin();
    source.wait();
    return source.report();
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    CLI::App app("An application that submits mail by gRPC");
    app.add_option("target", options.target, "ADDRESS:PORT of a gRPC listener, without TLS")->required();
    app.add_option("--how", options.how, "send: a call for each; stream: SendMany")
        ->check(CLI::IsMember({"send", "stream"}))
        ->capture_default_str();
    app.add_option("--messages", options.messages, "how many")->capture_default_str();
    app.add_option("--connections", options.connections, "how many")->capture_default_str();
    app.add_option("--window", options.window, "under way on each")->capture_default_str();
    app.add_option("--size", options.mail.sizes.front().octets, "octets of a message")->capture_default_str();
    app.add_option("--domains", options.mail.domains, "domains of recipients")->capture_default_str();
    CLI11_PARSE(app, argc, argv);
    return run(options) ? 0 : 1;
}
