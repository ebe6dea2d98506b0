#include <cstdio>

#include "ingest.hpp"
#include "postfleet/cluster_member/options.hpp"

namespace {

const postfleet::cluster_member::MemberProgram kProgram{
    .name = "postfleet-ingest",
    .about =
        "postfleet-ingest: takes mail in for a Postfleet cluster.\n"
        "\n"
        "SMTP and gRPC listeners, submission queues and pickup directories are in the configuration, which a\n"
        "router gives. A message is accepted when RabbitMQ has confirmed it in the queue of its sender; while\n"
        "the broker is away, SMTP is answered with 451 and gRPC with UNAVAILABLE, or mail is kept in a local\n"
        "buffer if the configuration has one (local_buffer). Any number of these may run, each with a data\n"
        "directory of its own.\n",
    .footer = "SIGTERM: no new mail, transactions end, and it stops.",
    .data_dir = "/var/lib/postfleet-ingest",
    .http = "127.0.0.1:8082",
};

}  // namespace

int main(int argc, char** argv) {
    postfleet::cluster_member::MemberOptions options;
    int exit_code = 0;
    if (!postfleet::cluster_member::parse_member_options(argc, argv, kProgram, options, exit_code)) return exit_code;
    auto ingest = postfleet::ingest::Ingest::start(std::move(options));
    if (!ingest) {
        std::fprintf(stderr, "postfleet-ingest: %s\n", ingest.error().text.c_str());
        return 1;
    }
    std::fputs((*ingest)->banner().c_str(), stdout);
    std::fflush(stdout);
    return (*ingest)->run();
}
