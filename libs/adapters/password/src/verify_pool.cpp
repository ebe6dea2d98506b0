#include "postfleet/password/verify_pool.hpp"

#include <fmt/format.h>
#include <pthread.h>
#include <signal.h>
#include <sys/random.h>

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "postfleet/base/require.hpp"
#include "verdict_memory.hpp"

namespace postfleet::password {

namespace {

struct Check {
    std::shared_ptr<const StoredPassword> stored;  // null: the decoy
    Secret password;
    Completion<PasswordVerdict> done;
};

void answer(Completion<PasswordVerdict>&& done, PasswordVerdict verdict) {
    Executor& on = *done.on;
    on.post([run = std::move(done.run), verdict]() mutable { run(verdict); });
}

std::string make_key() {
    std::string key(32, '\0');
    while (::getrandom(key.data(), key.size(), 0) != static_cast<ssize_t>(key.size())) require(errno == EINTR);
    return key;
}

}  // namespace

struct VerifyPool::Parts {
    Parts(const Digests& d, const VerifyPoolSettings& settings)
        : digests(d),
          max_waiting(settings.max_waiting),
          decoy(make_decoy(settings.decoy_cost)),
          memory(d, make_key(), settings.max_remembered, settings.remember_for) {}

    void work();
    PasswordVerdict check(const Check& check);

    const Digests& digests;
    const std::size_t max_waiting;
    const StoredPassword decoy;
    VerdictMemory memory;
    std::atomic<std::uint64_t> hashed{0}, remembered{0}, busy{0};

    mutable std::mutex mutex;
    std::condition_variable changed;
    std::deque<Check> waiting;
    bool is_stopping = false;
    std::vector<std::thread> threads;
};

void VerifyPool::Parts::work() {
    std::unique_lock lock(mutex);
    for (;;) {
        changed.wait(lock, [&] { return is_stopping || !waiting.empty(); });
        if (is_stopping) return;
        Check next = std::move(waiting.front());
        waiting.pop_front();
        lock.unlock();
        const PasswordVerdict verdict = check(next);
        next.password = Secret();
        answer(std::move(next.done), verdict);
        lock.lock();
    }
}

PasswordVerdict VerifyPool::Parts::check(const Check& check) {
    hashed.fetch_add(1, std::memory_order_relaxed);
    const bool is_decoy = check.stored == nullptr;
    PasswordVerdict verdict = check_password(digests, is_decoy ? decoy : *check.stored, check.password.view());
    if (verdict == PasswordVerdict::Busy) busy.fetch_add(1, std::memory_order_relaxed);
    if (verdict != PasswordVerdict::Match) return verdict;
    if (is_decoy) return PasswordVerdict::NoMatch;
    memory.remember(memory.name_of(*check.stored, check.password.view()), steady_clock_now());
    return verdict;
}

VerifyPool::VerifyPool(const Digests& digests, const VerifyPoolSettings& settings)
    : parts_(std::make_unique<Parts>(digests, settings)) {
    require(settings.threads > 0);
    // A new thread inherits the mask; signals are for the main thread.
    sigset_t all, before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    for (unsigned number = 0; number < settings.threads; ++number) {
        parts_->threads.emplace_back([parts = parts_.get()] { parts->work(); });
        const std::string name = fmt::format("pf-password-{}", number);
        ::pthread_setname_np(parts_->threads.back().native_handle(), name.c_str());
    }
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

VerifyPool::~VerifyPool() {
    {
        const std::lock_guard lock(parts_->mutex);
        parts_->is_stopping = true;
    }
    parts_->changed.notify_all();
    for (std::thread& thread : parts_->threads) thread.join();
    for (Check& check : parts_->waiting) answer(std::move(check.done), PasswordVerdict::Busy);
}

void VerifyPool::verify(std::shared_ptr<const StoredPassword> stored, Secret password,
                        Completion<PasswordVerdict> done) {
    require(done.on != nullptr);
    if (stored != nullptr &&
        parts_->memory.knows(parts_->memory.name_of(*stored, password.view()), steady_clock_now())) {
        parts_->remembered.fetch_add(1, std::memory_order_relaxed);
        return answer(std::move(done), PasswordVerdict::Match);
    }
    {
        const std::lock_guard lock(parts_->mutex);
        if (parts_->waiting.size() < parts_->max_waiting) {
            parts_->waiting.push_back({std::move(stored), std::move(password), std::move(done)});
            parts_->changed.notify_one();
            return;
        }
    }
    parts_->busy.fetch_add(1, std::memory_order_relaxed);
    answer(std::move(done), PasswordVerdict::Busy);
}

VerifyPool::Statistics VerifyPool::statistics() const {
    const std::lock_guard lock(parts_->mutex);
    return {parts_->hashed.load(), parts_->remembered.load(), parts_->busy.load(), parts_->waiting.size()};
}

}  // namespace postfleet::password
