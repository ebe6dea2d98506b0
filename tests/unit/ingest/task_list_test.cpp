#include "postfleet/ingest/task_list.hpp"

#include <catch2/catch.hpp>

namespace postfleet::ingest {

TEST_CASE("recipients of one domain are one task, in the order of their commands") {
    TaskList list;
    list.add({"a", "x.example"});
    CHECK(list.only_recipient() == "a@x.example");
    list.add({"b", "y.example"});
    list.add({"c", "x.example"});
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
            list.add({"u" + std::to_string(round), "d" + std::to_string(i) + ".example"});
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

}  // namespace postfleet::ingest
