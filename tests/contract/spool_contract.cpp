#include "spool_contract.hpp"

#include <catch2/catch.hpp>

#include <thread>
#include <utility>

#include "postfleet/support/spool_samples.hpp"

namespace postfleet::contract {

using namespace postfleet::support;

template <class T, class Start>
T SpoolCaller::wait_for(Start&& start) {
    std::optional<T> result;
    start(Completion<T>{&executor_, [&](T value) {
                            // Said before anything else, because a second call would be a bug of its own.
                            REQUIRE(!result.has_value());
                            result.emplace(std::move(value));
                        }});
    REQUIRE(executor_.run_until([&] { return result.has_value(); }, std::chrono::seconds(30)));
    return *std::move(result);
}

Status SpoolCaller::commit(SpoolBatch batch) {
    return wait_for<Status>([&](auto done) { spool_.commit(std::move(batch), std::move(done)); });
}
Status SpoolCaller::append(MessageId id, std::uint32_t chunk, SharedOctets octets) {
    return wait_for<Status>([&](auto done) { spool_.append_content(id, chunk, std::move(octets), std::move(done)); });
}
Result<Spool::Loaded> SpoolCaller::load(TaskKey key) {
    return wait_for<Result<Spool::Loaded>>([&](auto done) { spool_.load(key, std::move(done)); });
}
Result<bool> SpoolCaller::has_message(MessageId id) {
    return wait_for<Result<bool>>([&](auto done) { spool_.has_message(id, std::move(done)); });
}
Result<bool> SpoolCaller::was_taken(MessageId taken_as) {
    return wait_for<Result<bool>>([&](auto done) { spool_.was_taken(taken_as, std::move(done)); });
}

Result<SharedOctets> SpoolCaller::read_chunk(MessageId id, std::uint32_t chunk) {
    return wait_for<Result<SharedOctets>>([&](auto done) { spool_.read_chunk(id, chunk, std::move(done)); });
}
Result<std::vector<Task>> SpoolCaller::load_tasks(std::vector<TaskKey> keys) {
    return wait_for<Result<std::vector<Task>>>([&](auto done) { spool_.load_tasks(std::move(keys), std::move(done)); });
}
Result<std::vector<Spool::Loaded>> SpoolCaller::load_facts(std::vector<TaskKey> keys) {
    return wait_for<Result<std::vector<Spool::Loaded>>>(
        [&](auto done) { spool_.load_facts(std::move(keys), std::move(done)); });
}
Status SpoolCaller::put_note(std::string name, std::string value) {
    return wait_for<Status>([&](auto done) { spool_.put_note(std::move(name), std::move(value), std::move(done)); });
}
std::vector<Task> SpoolCaller::scan() {
    std::vector<Task> tasks;
    REQUIRE(spool_.scan_tasks([&](Task&& task) { tasks.push_back(std::move(task)); }).has_value());
    return tasks;
}

namespace {

SteadyTime soon() { return steady_clock_now() + std::chrono::seconds(20); }

void check_messages(SpoolUnderTest& store) {
    SpoolCaller caller(store.spool());
    SECTION("what was committed can be loaded, every field of it") {
        REQUIRE(caller.commit(sample_acceptance(1)));
        auto loaded = caller.load({sample_id(1), 0});
        REQUIRE(loaded);
        CHECK(loaded->task == sample_task(1));
        CHECK(*loaded->message == *sample_message(1));
        CHECK(*loaded->first_chunk == *sample_content(1));
    }
    SECTION("a message without content has an empty first chunk") {
        auto batch = sample_acceptance(1);
        batch.put_messages[0].last_chunk = std::make_shared<const std::string>();
        REQUIRE(caller.commit(std::move(batch)));
        CHECK(caller.load({sample_id(1), 0})->first_chunk->empty());
    }
    SECTION("content may come in chunks before the message that names it") {
        auto message = sample_message(1);
        message->content_chunks = 3;
        REQUIRE(caller.append(message->id, 0, sample_content(10)));
        REQUIRE(caller.append(message->id, 1, sample_content(11)));
        SpoolBatch batch;
        batch.put_messages.push_back({message, sample_content(12)});
        batch.put_tasks.push_back(sample_task(1));
        REQUIRE(caller.commit(std::move(batch)));
        CHECK(*caller.load({message->id, 0})->first_chunk == *sample_content(10));
        CHECK(**caller.read_chunk(message->id, 0) == *sample_content(10));
        CHECK(**caller.read_chunk(message->id, 1) == *sample_content(11));
        CHECK(**caller.read_chunk(message->id, 2) == *sample_content(12));
        CHECK(caller.read_chunk(message->id, 3).error().kind == ErrorKind::NotFound);
        SECTION("and goes with it, all chunks") {
            SpoolBatch end;
            end.remove_tasks.push_back({message->id, 0});
            end.remove_messages.push_back({message->id, 3});
            REQUIRE(caller.commit(std::move(end)));
            for (std::uint32_t chunk = 0; chunk < 3; chunk++) {
                CHECK(caller.read_chunk(message->id, chunk).error().kind == ErrorKind::NotFound);
            }
        }
    }
    SECTION("a message is there from its commit to its removal; content alone is none") {
        REQUIRE(caller.append(sample_id(1), 0, sample_content(1)));
        CHECK_FALSE(*caller.has_message(sample_id(1)));
        REQUIRE(caller.commit(sample_acceptance(2)));
        CHECK(*caller.has_message(sample_id(2)));
        REQUIRE(caller.commit(sample_outcome(2)));
        CHECK_FALSE(*caller.has_message(sample_id(2)));
    }
    SECTION("content of a message that is there is not discarded by who has given up another copy of it") {
        const auto two_chunks = [&](std::uint64_t n) {
            auto message = sample_message(n);
            message->content_chunks = 2;
            REQUIRE(caller.append(message->id, 0, sample_content(10 * n)));
            SpoolBatch batch;
            batch.taken_as = message->id;
            batch.put_messages.push_back({message, sample_content(10 * n + 1)});
            batch.put_tasks.push_back(sample_task(n));
            return batch;
        };
        REQUIRE(caller.commit(two_chunks(1)));
        store.spool().discard_content(sample_id(1), 1);
        REQUIRE(caller.commit({}));
        CHECK(**caller.read_chunk(sample_id(1), 0) == *sample_content(10));
        SECTION("also when both are under way together") {
            store.spool().commit(two_chunks(2), {});
            store.spool().discard_content(sample_id(2), 1);
            REQUIRE(caller.commit({}));
            CHECK(**caller.read_chunk(sample_id(2), 0) == *sample_content(20));
        }
    }
    SECTION("discarded content is gone") {
        REQUIRE(caller.append(sample_id(1), 0, sample_content(1)));
        store.spool().discard_content(sample_id(1), 1);
        REQUIRE(caller.commit({}));
        CHECK(caller.read_chunk(sample_id(1), 0).error().kind == ErrorKind::NotFound);
    }
}

void check_tasks(SpoolUnderTest& store) {
    SpoolCaller caller(store.spool());
    SECTION("a task that is put again replaces the one before") {
        REQUIRE(caller.commit(sample_acceptance(1)));
        auto task = sample_task(1);
        task.recipients.pop_back();
        task.recipients[0].attempts = 9;
        SpoolBatch batch;
        batch.urgency = SpoolBatch::Urgency::Outcome;
        batch.put_tasks.push_back(task);
        REQUIRE(caller.commit(std::move(batch)));
        CHECK(caller.load({sample_id(1), 0})->task == task);
    }
    SECTION("removing what is not there is ok, twice too") {
        REQUIRE(caller.commit(sample_outcome(5)));
        REQUIRE(caller.commit(sample_outcome(5)));
    }
    SECTION("a removed task is not found, and left out of listings") {
        REQUIRE(caller.commit(sample_acceptance(1)));
        REQUIRE(caller.commit(sample_acceptance(2)));
        REQUIRE(caller.commit(sample_outcome(1)));
        CHECK(caller.load({sample_id(1), 0}).error().kind == ErrorKind::NotFound);
        auto tasks = caller.load_tasks({{sample_id(1), 0}, {sample_id(2), 0}, {sample_id(2), 7}});
        REQUIRE(tasks);
        REQUIRE(tasks->size() == 1);
        CHECK(tasks->front() == sample_task(2));
    }
    SECTION("tasks and messages are read without content, what is not there is left out") {
        REQUIRE(caller.commit(sample_acceptance(1)));
        REQUIRE(caller.commit(sample_acceptance(2)));
        REQUIRE(caller.commit(sample_outcome(1)));
        auto facts = caller.load_facts({{sample_id(1), 0}, {sample_id(2), 0}, {sample_id(2), 7}});
        REQUIRE(facts);
        REQUIRE(facts->size() == 1);
        CHECK(facts->front().task == sample_task(2));
        CHECK(*facts->front().message == *sample_message(2));
        CHECK(facts->front().first_chunk == nullptr);
    }
    SECTION("a put and a removal in one batch apply in that order") {
        auto batch = sample_acceptance(1);
        batch.remove_tasks.push_back({sample_id(1), 0});
        batch.remove_messages.push_back({sample_id(1), 1});
        REQUIRE(caller.commit(std::move(batch)));
        CHECK(caller.load({sample_id(1), 0}).error().kind == ErrorKind::NotFound);
    }
    SECTION("batches complete in the order of the calls") {
        std::vector<int> order;
        for (int i = 0; i < 50; i++) {
            store.spool().commit(sample_acceptance(static_cast<std::uint64_t>(i)),
                                 {&caller.executor(), [&order, i](Status status) {
                                      CHECK(status);
                                      order.push_back(i);
                                  }});
        }
        CHECK(order.empty());
        REQUIRE(caller.executor().run_until([&] { return order.size() == 50; }, std::chrono::seconds(30)));
        CHECK(std::is_sorted(order.begin(), order.end()));
    }
}

SpoolBatch taken(std::uint64_t n, std::uint64_t as) {
    auto batch = sample_acceptance(n);
    batch.taken_as = sample_id(as);
    return batch;
}

void check_taken(SpoolUnderTest& store) {
    SpoolCaller caller(store.spool());
    SECTION("what was taken is not taken again, whatever has become of it") {
        CHECK_FALSE(*caller.was_taken(sample_id(1)));
        REQUIRE(caller.commit(taken(1, 1)));
        CHECK(*caller.was_taken(sample_id(1)));
        CHECK_FALSE(*caller.was_taken(sample_id(2)));
        const auto events = store.events().last_number();
        CHECK(caller.commit(taken(1, 1)).error().kind == ErrorKind::AlreadyExists);
        REQUIRE(caller.commit(sample_outcome(1)));
        CHECK(caller.commit(taken(1, 1)).error().kind == ErrorKind::AlreadyExists);
        CHECK(caller.scan().empty());
        CHECK_FALSE(*caller.has_message(sample_id(1)));
        CHECK(store.events().last_number() == events + 1);
        CHECK(store.spool().statistics().repeated == 2);
        SECTION("also after a restart") {
            store.restart();
            SpoolCaller again(store.spool());
            CHECK(*again.was_taken(sample_id(1)));
            CHECK(again.commit(taken(1, 1)).error().kind == ErrorKind::AlreadyExists);
            REQUIRE(again.commit(taken(1, 2)));
            CHECK(again.scan().size() == 1);
        }
    }
    SECTION("of two that are under way together one is taken") {
        std::vector<bool> taken_now;
        for (int i = 0; i < 20; i++) {
            store.spool().commit(taken(static_cast<std::uint64_t>(i % 5), 100 + static_cast<std::uint64_t>(i % 5)),
                                 {&caller.executor(), [&](Status status) { taken_now.push_back(status.has_value()); }});
        }
        REQUIRE(caller.executor().run_until([&] { return taken_now.size() == 20; }, std::chrono::seconds(30)));
        CHECK(std::count(taken_now.begin(), taken_now.begin() + 5, true) == 5);
        CHECK(std::count(taken_now.begin(), taken_now.end(), true) == 5);
        CHECK(store.events().last_number() == 5);
    }
    SECTION("a part of a message comes in when what is here of the message is finished") {
        REQUIRE(caller.commit(taken(1, 1)));
        auto part = taken(1, 77);
        part.put_tasks = {sample_task(1, 9)};
        CHECK(caller.commit(std::move(part)).error().kind == ErrorKind::InvalidArgument);
        CHECK(caller.scan().size() == 1);
        CHECK(*caller.load({sample_id(1), 0})->first_chunk == *sample_content(1));
        REQUIRE(caller.commit(sample_outcome(1)));
        part = taken(1, 77);
        part.put_tasks = {sample_task(1, 9)};
        CHECK(caller.commit(std::move(part)));
        CHECK(*caller.load({sample_id(1), 9})->first_chunk == *sample_content(1));
    }
    SECTION("content that came for a copy goes, unless the message is there") {
        auto message = sample_message(1);
        message->content_chunks = 2;
        const auto large = [&] {
            SpoolBatch batch;
            batch.put_messages.push_back({message, sample_content(12)});
            batch.put_tasks.push_back(sample_task(1));
            batch.taken_as = message->id;
            return batch;
        };
        REQUIRE(caller.append(message->id, 0, sample_content(10)));
        REQUIRE(caller.commit(large()));
        REQUIRE(caller.append(message->id, 0, sample_content(10)));
        CHECK_FALSE(caller.commit(large()));
        CHECK(**caller.read_chunk(message->id, 0) == *sample_content(10));
        CHECK(**caller.read_chunk(message->id, 1) == *sample_content(12));
        SpoolBatch end;
        end.remove_tasks.push_back({message->id, 0});
        end.remove_messages.push_back({message->id, 2});
        REQUIRE(caller.commit(std::move(end)));
        REQUIRE(caller.append(message->id, 0, sample_content(10)));
        CHECK_FALSE(caller.commit(large()));
        CHECK(caller.read_chunk(message->id, 0).error().kind == ErrorKind::NotFound);
    }
}

void check_restart(SpoolUnderTest& store) {
    {
        SpoolCaller caller(store.spool());
        auto two_tasks = sample_acceptance(2);
        two_tasks.put_tasks.push_back(sample_task(2, 1));
        REQUIRE(caller.commit(sample_acceptance(1)));
        REQUIRE(caller.commit(std::move(two_tasks)));
        REQUIRE(caller.commit(sample_acceptance(3)));
        REQUIRE(caller.commit(sample_outcome(1)));
        REQUIRE(caller.append(sample_id(9), 0, sample_content(9)));
        REQUIRE(caller.put_note("paused/google", "by ada"));
        REQUIRE(caller.put_note("paused/other", ""));
        REQUIRE(store.events().open_cursor("file"));
        REQUIRE(store.events().advance("file", 2));
        REQUIRE(caller.commit({}));  // takes the cursor with it
    }
    store.restart();
    SpoolCaller caller(store.spool());
    auto tasks = caller.scan();
    SECTION("every task is there once, those of a message together") {
        REQUIRE(tasks.size() == 3);
        CHECK(tasks[0] == sample_task(2, 0));
        CHECK(tasks[1] == sample_task(2, 1));
        CHECK(tasks[2] == sample_task(3));
    }
    SECTION("and the content and facts of its message") {
        auto loaded = caller.load({sample_id(3), 0});
        REQUIRE(loaded);
        CHECK(*loaded->message == *sample_message(3));
        CHECK(*loaded->first_chunk == *sample_content(3));
    }
    SECTION("content without a task has disappeared") {
        REQUIRE(caller.commit({}));
        CHECK(caller.read_chunk(sample_id(9), 0).error().kind == ErrorKind::NotFound);
    }
    SECTION("notes are kept") {
        auto notes = store.spool().notes();
        REQUIRE(notes.size() == 2);
        CHECK(notes[0] == std::pair<std::string, std::string>("paused/google", "by ada"));
        CHECK(notes[1].second.empty());
    }
    SECTION("a reader goes on where it stood, and numbers go on") {
        auto& events = store.events();
        CHECK(events.last_number() == 4);
        REQUIRE(*events.open_cursor("file") == 2);
        auto left = events.read(2, 100);
        REQUIRE(left);
        REQUIRE(left->size() == 2);
        CHECK(left->at(0).number == 3);
        CHECK(tells_the_same(*left->at(0).event, sample_event(3, EventType::Accepted)));
        CHECK(tells_the_same(*left->at(1).event, sample_event(1, EventType::Delivered)));
        REQUIRE(caller.commit(sample_outcome(3)));
        CHECK(events.last_number() == 5);
    }
}

void check_events(SpoolUnderTest& store) {
    SpoolCaller caller(store.spool());
    auto& events = store.events();
    SECTION("events have the numbers of their order, and are read from any of them on") {
        for (std::uint64_t n = 1; n <= 5; n++) REQUIRE(caller.commit(sample_outcome(n)));
        CHECK(events.last_number() == 5);
        auto read = events.read(2, 2);
        REQUIRE(read);
        REQUIRE(read->size() == 2);
        CHECK(read->at(0).number == 3);
        CHECK(read->at(1).number == 4);
        CHECK(tells_the_same(*read->at(0).event, sample_event(3)));
        CHECK(events.read(5, 10)->empty());
    }
    SECTION("a new reader starts with the oldest event that is kept") {
        REQUIRE(caller.commit(sample_outcome(1)));
        REQUIRE(*events.open_cursor("first") == 0);
        REQUIRE(caller.commit(sample_outcome(2)));
        REQUIRE(events.advance("first", 2));
        REQUIRE(caller.commit(sample_outcome(3)));
        CHECK(*events.open_cursor("second") == 2);
        CHECK(*events.open_cursor("first") == 2);
    }
    SECTION("a reader never goes back, nor beyond the last event") {
        REQUIRE(caller.commit(sample_outcome(1)));
        REQUIRE(caller.commit(sample_outcome(2)));
        REQUIRE(events.open_cursor("a"));
        REQUIRE(events.advance("a", 2));
        REQUIRE(events.advance("a", 1));
        CHECK(*events.open_cursor("a") == 2);
        CHECK(events.advance("b", 1).error().kind == ErrorKind::NotFound);
    }
    SECTION("readers that are not configured any more are forgotten") {
        REQUIRE(events.open_cursor("a"));
        REQUIRE(events.open_cursor("b"));
        REQUIRE(events.keep_only_cursors({"b"}));
        CHECK(events.advance("a", 0).error().kind == ErrorKind::NotFound);
        CHECK(events.advance("b", 0));
    }
    SECTION("wait returns when an event comes, and at once when there is one") {
        REQUIRE(caller.commit(sample_outcome(1)));
        events.wait(0, soon());
        std::thread waiting([&] { events.wait(1, soon()); });
        REQUIRE(caller.commit(sample_outcome(2)));
        waiting.join();
        CHECK(events.last_number() == 2);
    }
    SECTION("stop wakes every wait, for good") {
        std::thread waiting([&] { events.wait(0, SteadyTime::max()); });
        events.stop();
        waiting.join();
        events.wait(0, SteadyTime::max());
    }
}

}  // namespace

void spool_contract(const std::function<std::unique_ptr<SpoolUnderTest>()>& make) {
    auto store = make();
    SECTION("messages") { check_messages(*store); }
    SECTION("tasks") { check_tasks(*store); }
    SECTION("taken") { check_taken(*store); }
    SECTION("restart") { check_restart(*store); }
    SECTION("events") { check_events(*store); }
    SECTION("a new spool is ready and empty") {
        CHECK(store->spool().state().condition == SpoolCondition::Ready);
        CHECK(SpoolCaller(store->spool()).scan().empty());
        CHECK(store->spool().notes().empty());
        CHECK(store->events().last_number() == 0);
    }
}

}  // namespace postfleet::contract
