// What people see, against golden files: the same JSON that a running server answers with, on a wide and on a
// narrow terminal. POSTFLEET_UPDATE_GOLDEN=1 writes them anew.
#include "postfleet/standalone/views.hpp"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <sstream>

using namespace postfleet;
using namespace postfleet::standalone;

namespace {

const WallTime kNow = from_unix_microseconds(1'795'342'272'000'000);  // 2026-11-22T10:11:12Z

std::string read(const std::string& name) {
    std::stringstream text;
    text << std::ifstream(POSTFLEET_SOURCE_DIR "/tests/golden/cli/" + name).rdbuf();
    return text.str();
}

void check_golden(const std::string& name, const Result<std::string>& shown) {
    REQUIRE(shown);
    const std::string path = POSTFLEET_SOURCE_DIR "/tests/golden/cli/" + name;
    if (std::getenv("POSTFLEET_UPDATE_GOLDEN") != nullptr) std::ofstream(path) << *shown;
    INFO(path);
    CHECK(*shown == read(name));
}

}  // namespace

TEST_CASE("status fits on one page") {
    check_golden("status.txt", view_status(read("status.json"), {}));
    check_golden("status-not-ready.txt", view_status(read("status-not-ready.json"), {}));
}

TEST_CASE("queues are a table that fits the terminal") {
    check_golden("queues.txt", view_queues(read("queues.json"), {}, kNow));
    check_golden("queues-80.txt", view_queues(read("queues.json"), {.width = 80}, kNow));
    check_golden("queues-40.txt", view_queues(read("queues.json"), {.width = 40}, kNow));
}

TEST_CASE("virtual MTAs show their addresses and why one is off") {
    check_golden("vmtas.txt", view_virtual_mtas(read("vmtas.json"), {}));
    check_golden("vmtas-80.txt", view_virtual_mtas(read("vmtas.json"), {.width = 80}));
}

TEST_CASE("mail is listed by recipient") {
    check_golden("list.txt", view_tasks(read("list.json"), {}, kNow));
    check_golden("list-100.txt", view_tasks(read("list.json"), {.width = 100}, kNow));
}

TEST_CASE("settings say where they come from") {
    check_golden("settings.txt", view_settings(read("settings.json"), {}));
}

TEST_CASE("top is status above queues, cut to the height") {
    check_golden("top-80x12.txt", view_top(read("status.json"), read("queues.json"), {.width = 80}, 12, kNow));
}

TEST_CASE("orders and reloads say what they did") {
    CHECK(*view_affected(R"({"queues":1})", "Set to backoff:") == "Set to backoff: 1 queue.\n");
    const std::string pause =
        R"({"given":{"order":7,"action":"pause","mail":"job promo","state":"in force","recipients":0,)"
        R"("expires_at":"2026-11-22T10:11:12.345678Z"},"count":{"recipients":1204,"tasks":9,"queues":2}})";
    CHECK(*view_given(pause) ==
          "Order 7 pauses job promo: 1,204 recipients in 2 queues now, and what comes later.\n"
          "It ends by itself at 2026-11-22T10:11:12Z.\n`postfleet resume 7` lets it go again.\n");
    const std::string done =
        R"({"orders":[{"order":8,"action":"delete","mail":"everything","state":"finished","recipients":3}]})";
    CHECK(*view_finished(done) == "Deleted 3 recipients (order 8).\n");
    CHECK(order_progress(done)->is_over);
    CHECK(*view_withdrawn(done) == "Order 8 is withdrawn: it was to delete everything; 3 recipients so far.\n");
    CHECK(*view_count(R"({"count":{"recipients":0}})", "It would be about") == "It would be about no mail.\n");
    CHECK(*view_orders(R"({"orders":[]})", {}, kNow) == "No orders.\n");
    CHECK(view_finished(R"({"orders":[]})").error().kind == ErrorKind::NotFound);
    CHECK(*view_reload(R"({"version":"x","changes":[]})") == "Reloaded; nothing has changed.\n");
    CHECK(*view_reload(R"({"changes":[{"text":"a: 1 → 2, takes effect at the next start","needs_restart":true}]})") ==
          "Reloaded; 1 change:\n  a: 1 → 2, takes effect at the next start\n");
}

TEST_CASE("text from outside cannot write to the terminal") {
    const auto shown = view_queues(R"({"total":1,"queues":[{"name":"a/b","last_reply":"\u001b[2Jgone"}]})", {}, kNow);
    REQUIRE(shown);
    CHECK(shown->find('\x1b') == std::string::npos);
}

TEST_CASE("nothing to show is said, and an answer that is not JSON is an error") {
    CHECK(*view_queues(R"({"total":0,"queues":[]})", {}, kNow) == "No queues.\n");
    CHECK(*view_tasks(R"({"more":false,"tasks":[]})", {}, kNow) == "No mail.\n");
    CHECK(*view_virtual_mtas("[]", {}) == "No virtual MTAs.\n");
    CHECK_FALSE(view_status("nonsense", {}));
}
