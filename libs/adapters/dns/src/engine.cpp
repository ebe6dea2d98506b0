#include "engine.hpp"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>

namespace postfleet::dns {

UnboundResolver::Engine::Engine(Context context, int wake_descriptor, const Options& options, Metrics& metrics)
    : context_(std::move(context)),
      wake_(wake_descriptor),
      timeout_(options.timeout),
      max_outstanding_(std::max<std::size_t>(1, options.max_outstanding)),
      metrics_(metrics),
      cache_({options.max_cached, options.max_cached_octets}) {
    thread_ = std::thread([this] {
        ::pthread_setname_np(::pthread_self(), "postfleet-dns");
        run();
    });
}

UnboundResolver::Engine::~Engine() {
    {
        const std::lock_guard lock(mutex_);
        is_stopping_ = true;
    }
    wake();
    thread_.join();
    ::close(wake_);
}

std::string UnboundResolver::Engine::key_of(Lookup::Kind kind, const std::string& name) {
    return std::string(1, static_cast<char>('0' + static_cast<int>(kind))) + name;
}

void UnboundResolver::Engine::wake() {
    const std::uint64_t one = 1;
    static_cast<void>(!::write(wake_, &one, sizeof one));
}

void UnboundResolver::Engine::complete(Completion<Answer> done, Answer answer) {
    done.on->post([run = std::move(done.run), answer = std::move(answer)]() mutable { run(std::move(answer)); });
}

void UnboundResolver::Engine::submit(Lookup::Kind kind, std::string name, Completion<Answer> done) {
    const auto now = steady_clock_now();
    const auto key = key_of(kind, name);
    std::unique_lock lock(mutex_);
    if (auto known = cache_.find(key, now)) {
        lock.unlock();
        metrics_.of(kind).cache_hits.add();
        complete(std::move(done), std::move(*known));
        return;
    }
    if (requests_ >= kMaxRequests) {
        lock.unlock();
        metrics_.refused.add();
        complete(std::move(done), Lookup::failure(kind, name, "too many DNS look-ups are under way"));
        return;
    }
    ++requests_;
    metrics_.requests.add(1);
    const bool was_empty = incoming_.empty();
    incoming_.push_back({kind, std::move(name), now, std::move(done)});
    lock.unlock();
    if (was_empty) wake();
}

void UnboundResolver::Engine::run() {
    while (true) {
        wait_for_work();
        // Its errors are those of single queries, which their callbacks get, or of its pipe: then deadlines answer.
        static_cast<void>(context_.process().has_value());
        take_requests();
        pass_deadlines();
        start_waiting_lookups();
        ask_questions();
        metrics_.queries.set(static_cast<std::int64_t>(queries_.size()));
        const std::lock_guard lock(mutex_);
        if (is_stopping_ && incoming_.empty()) break;
    }
    finish_all();
}

void UnboundResolver::Engine::wait_for_work() {
    int milliseconds = -1;
    if (!deadlines_.empty()) {
        const auto left = deadlines_.begin()->first - steady_clock_now();
        const auto rounded = std::chrono::ceil<std::chrono::milliseconds>(left).count();
        milliseconds = static_cast<int>(std::clamp<long long>(rounded, 0, 60'000));
    }
    pollfd watched[] = {{context_.descriptor(), POLLIN, 0}, {wake_, POLLIN, 0}};
    if (::poll(watched, 2, milliseconds) <= 0 || (watched[1].revents & POLLIN) == 0) return;
    std::uint64_t count = 0;
    static_cast<void>(!::read(wake_, &count, sizeof count));
}

void UnboundResolver::Engine::take_requests() {
    std::deque<Request> taken;
    {
        const std::lock_guard lock(mutex_);
        taken.swap(incoming_);
    }
    for (auto& request : taken) add(std::move(request));
}

void UnboundResolver::Engine::add(Request request) {
    auto key = key_of(request.kind, request.name);
    if (const auto same = by_key_.find(key); same != by_key_.end()) {
        lookups_under_way_.at(same->second).waiters.push_back(std::move(request.done));
        return;
    }
    const auto number = ++last_number_;
    Active active;
    active.key = key;
    active.kind = request.kind;
    active.name = std::move(request.name);
    active.asked_at = request.asked_at;
    active.deadline = request.asked_at + timeout_;
    active.waiters.push_back(std::move(request.done));
    by_key_.emplace(std::move(key), number);
    deadlines_.emplace(active.deadline, number);
    lookups_under_way_.emplace(number, std::move(active));
    waiting_lookups_.push_back(number);
}

void UnboundResolver::Engine::start_waiting_lookups() {
    while (started_lookups_ < max_outstanding_ && !waiting_lookups_.empty()) {
        const auto number = waiting_lookups_.front();
        waiting_lookups_.pop_front();
        const auto found = lookups_under_way_.find(number);
        if (found == lookups_under_way_.end()) continue;  // its deadline passed
        ++started_lookups_;
        found->second.lookup = std::make_unique<Lookup>(found->second.kind, found->second.name);
        advance(number, found->second);
    }
}

void UnboundResolver::Engine::ask_questions() {
    while (queries_.size() < max_outstanding_ && !questions_.empty()) {
        auto [number, question] = std::move(questions_.front());
        questions_.pop_front();
        const auto found = lookups_under_way_.find(number);
        if (found == lookups_under_way_.end()) continue;
        auto query = std::make_unique<Query>(Query{this, ++last_number_, number, std::move(question), 0});
        auto* const asked = query.get();
        queries_.emplace(asked->number, std::move(query));
        found->second.queries.push_back(asked->number);
        const auto id = context_.ask(asked->question, asked, &Engine::on_result);
        if (id) {
            asked->id = *id;
        } else {
            // libunbound does not take the name: nobody can have it.
            Records none;
            none.kind = Records::Kind::NoSuchName;
            on_records(asked->number, none);
        }
    }
}

void UnboundResolver::Engine::on_result(void* argument, int error, ub_result* result) {
    const auto* query = static_cast<const Query*>(argument);
    query->engine->on_records(query->number, Context::to_records(error, result));
}

void UnboundResolver::Engine::on_records(std::uint64_t query, const Records& records) {
    const auto node = queries_.extract(query);
    if (node.empty()) return;
    const auto number = node.mapped()->lookup;
    const auto found = lookups_under_way_.find(number);
    if (found == lookups_under_way_.end()) return;
    std::erase(found->second.queries, query);
    found->second.lookup->on_records(node.mapped()->question, records);
    advance(number, found->second);
}

// After every step of a look-up: its next questions, its end, or the grace for what is slow.
void UnboundResolver::Engine::advance(std::uint64_t number, Active& active) {
    for (auto& question : active.lookup->take_questions()) questions_.emplace_back(number, std::move(question));
    if (active.lookup->is_done()) {
        finish(number, "");
        return;
    }
    if (!active.in_grace && active.lookup->has_address()) {
        active.in_grace = true;
        const auto until = steady_clock_now() + kStragglerGrace;
        if (until < active.deadline) deadlines_.emplace(until, number);
    }
}

void UnboundResolver::Engine::pass_deadlines() {
    const auto now = steady_clock_now();
    while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
        const auto number = deadlines_.begin()->second;
        deadlines_.erase(deadlines_.begin());
        finish(number, "no answer from DNS in time");
    }
}

void UnboundResolver::Engine::finish(std::uint64_t number, std::string_view why) {
    auto node = lookups_under_way_.extract(number);
    if (node.empty()) return;  // the other of its two deadlines
    Active& active = node.mapped();
    by_key_.erase(active.key);
    for (const auto query : active.queries) {
        context_.cancel(queries_.at(query)->id);
        queries_.erase(query);
    }
    if (active.lookup) --started_lookups_;
    Answer answer = active.lookup ? active.lookup->answer(why) : Lookup::failure(active.kind, active.name, why);
    const auto now = steady_clock_now();
    metrics_.on_answer(active.kind, answer, now - active.asked_at);
    {
        const std::lock_guard lock(mutex_);
        // A look-up that never had its turn says nothing about the name.
        if (active.lookup && !is_stopping_) cache_.put(active.key, answer, now);
        requests_ -= active.waiters.size();
    }
    metrics_.requests.add(-static_cast<std::int64_t>(active.waiters.size()));
    for (std::size_t i = 0; i + 1 < active.waiters.size(); ++i) complete(std::move(active.waiters[i]), answer);
    complete(std::move(active.waiters.back()), std::move(answer));
}

void UnboundResolver::Engine::finish_all() {
    std::vector<std::uint64_t> numbers;
    for (const auto& [number, active] : lookups_under_way_) numbers.push_back(number);
    for (const auto number : numbers) finish(number, "the resolver is stopping");
}

}  // namespace postfleet::dns
