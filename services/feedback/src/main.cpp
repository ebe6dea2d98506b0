#include <cstdio>

#include "feedback.hpp"
#include "postfleet/cluster_member/options.hpp"

namespace {

const postfleet::cluster_member::MemberProgram kProgram{
    .name = "postfleet-feedback",
    .about =
        "postfleet-feedback: delivery reports of a Postfleet cluster.\n"
        "\n"
        "The reports are in the configuration, which a router gives: files, RabbitMQ, Kafka. Senders put the\n"
        "events of each report into its queue on RabbitMQ; this process writes them to the report, and\n"
        "acknowledges them when they are safe there. Any number of these may run; they keep nothing.\n",
    .footer = "SIGTERM: what it has is written, and it stops.",
    .data_dir = "/var/lib/postfleet-feedback",
    .http = "127.0.0.1:8084",
    .control = "127.0.0.1:0",
};

}  // namespace

int main(int argc, char** argv) {
    postfleet::cluster_member::MemberOptions options;
    int exit_code = 0;
    if (!postfleet::cluster_member::parse_member_options(argc, argv, kProgram, options, exit_code)) return exit_code;
    auto feedback = postfleet::feedback::Feedback::start(std::move(options));
    if (!feedback) {
        std::fprintf(stderr, "postfleet-feedback: %s\n", feedback.error().text.c_str());
        return 1;
    }
    std::fputs((*feedback)->banner().c_str(), stdout);
    std::fflush(stdout);
    return (*feedback)->run();
}
