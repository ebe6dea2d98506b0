// Engine: the thread behind UnboundResolver. It takes requests from a queue, drives Lookups with libunbound's
// answers, keeps deadlines and fills the cache.
//
// Threads: submit() thread-safe; the rest runs on its own thread.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "answer_cache.hpp"
#include "context.hpp"
#include "resolver_metrics.hpp"

namespace postfleet::dns {

class UnboundResolver::Engine {
public:
    Engine(Context context, int wake_descriptor, const Options& options, Metrics& metrics);
    ~Engine();
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;

    // On the completion's executor, soon.
    static void complete(Completion<Answer> done, Answer answer);
    void submit(Lookup::Kind kind, std::string name, Completion<Answer> done);

private:
    using Waiters = std::vector<Completion<Answer>>;
    struct Request {
        Lookup::Kind kind = Lookup::Kind::Mx;
        std::string name;
        SteadyTime asked_at;
        Completion<Answer> done;
    };
    struct Active {
        std::string key;
        Lookup::Kind kind = Lookup::Kind::Mx;
        std::string name;
        std::unique_ptr<Lookup> lookup;  // null: waits for its turn
        SteadyTime asked_at;
        SteadyTime deadline;
        bool in_grace = false;
        Waiters waiters;
        std::vector<std::uint64_t> queries;  // with libunbound
    };
    struct Query {
        Engine* engine = nullptr;
        std::uint64_t number = 0;
        std::uint64_t lookup = 0;
        Question question;
        int id = 0;
    };

    static std::string key_of(Lookup::Kind kind, const std::string& name);
    static void on_result(void* argument, int error, ub_result* result);

    void run();
    void wait_for_work();
    void take_requests();
    void add(Request request);
    void start_waiting_lookups();
    void ask_questions();
    void on_records(std::uint64_t query, const Records& records);
    void advance(std::uint64_t number, Active& active);
    void pass_deadlines();
    void finish(std::uint64_t number, std::string_view why);
    void finish_all();
    void wake();

    Context context_;
    const int wake_;
    const Duration timeout_;
    const std::size_t max_outstanding_;
    ResolverMetrics metrics_;

    std::mutex mutex_;  // the next four; held for a few operations on them
    std::deque<Request> incoming_;
    AnswerCache cache_;
    bool is_stopping_ = false;
    std::size_t requests_ = 0;  // not answered yet

    std::uint64_t last_number_ = 0;
    std::unordered_map<std::string, std::uint64_t> by_key_;
    std::unordered_map<std::uint64_t, Active> lookups_under_way_;
    std::size_t started_lookups_ = 0;
    std::deque<std::uint64_t> waiting_lookups_;
    std::deque<std::pair<std::uint64_t, Question>> questions_;
    std::unordered_map<std::uint64_t, std::unique_ptr<Query>> queries_;
    std::multimap<SteadyTime, std::uint64_t> deadlines_;
    std::thread thread_;
};

}  // namespace postfleet::dns
