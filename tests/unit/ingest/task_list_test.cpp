#include "postfleet/ingest/task_list.hpp"

#include <catch2/catch.hpp>

namespace postfleet::ingest {

TEST_CASE("recipients of one domain are one task, in the order of their commands") {
    TaskList list;
    list.add({{"a", "x.example"}});
    CHECK(list.only_recipient() == "a@x.example");
    list.add({{"b", "y.example"}});
    list.add({{"c", "x.example"}});
    CHECK(list.only_recipient().empty());
    CHECK(list.recipients() == 3);
    const auto tasks = std::move(list).take_tasks();
    REQUIRE(tasks.size() == 2);
    CHECK(tasks[0].domain == "x.example");
    CHECK(tasks[0].key.number == 0);
    REQUIRE(tasks[0].recipients.size() == 2);
    CHECK(tasks[0].recipients[1].address == "c@x.example");
    CHECK(tasks[0].recipients[1].index == 2);
    CHECK(tasks[1].key.number == 1);
    CHECK(tasks[1].recipients[0].index == 1);
}

TEST_CASE("many domains are still one task each") {
    TaskList list;
    for (int round = 0; round < 3; ++round) {
        for (int i = 0; i < 200; ++i) {
            list.add({{"u" + std::to_string(round), "d" + std::to_string(i) + ".example"}});
        }
    }
    const auto tasks = std::move(list).take_tasks();
    REQUIRE(tasks.size() == 200);
    for (std::uint32_t i = 0; i < 200; ++i) {
        CHECK(tasks[i].key.number == i);
        REQUIRE(tasks[i].recipients.size() == 3);
        CHECK(tasks[i].recipients[2].index == 400 + i);
    }
}

TEST_CASE("recipients that need SMTPUTF8 are a task apart, few domains or many", "[X6531]") {
    for (const int others : {0, 100}) {
        TaskList list;
        for (int i = 0; i < others; ++i) list.add({{"u", "d" + std::to_string(i) + ".example"}});
        for (int round = 0; round < 2; ++round) {
            list.add({{"a", "x.example"}});
            list.add({{"\xc3\xa4", "x.example"}});
        }
        const auto tasks = std::move(list).take_tasks();
        REQUIRE(tasks.size() == static_cast<std::size_t>(others) + 2);
        for (const Task* task : {&tasks[tasks.size() - 2], &tasks.back()}) {
            CHECK(task->domain == "x.example");
            REQUIRE(task->recipients.size() == 2);
            CHECK(task->recipients[0].address == task->recipients[1].address);
        }
    }
}

}  // namespace postfleet::ingest
