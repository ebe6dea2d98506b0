#include <algorithm>
#include <cstdio>
#include <cstring>

#include "postfleet/base/text.hpp"
#include "postfleet/cluster_member/options.hpp"
#include "postfleet/config/names.hpp"
#include "sender_process.hpp"

namespace {

const postfleet::cluster_member::MemberProgram kProgram{
    .name = "postfleet-sender",
    .about =
        "postfleet-sender: delivers the mail of the virtual MTAs that are its own.\n"
        "\n"
        "It takes mail from RabbitMQ into its spool and sends it from there, by the configuration that a router\n"
        "gives. A sender's name belongs to one spool: a second process with the name waits until the first has\n"
        "released it, or an operator says `postfleet takeover NAME`.\n",
    .footer =
        "SIGTERM: transactions under way end, the mail stays in the spool, and the next start goes on.\n"
        "postfleet-sender --evacuate …: deliver nothing; hand all mail of the spool over to the senders that have\n"
        "its virtual MTAs now, publish its events, release the name, and end. It may be interrupted and run again.",
    .process_name_help =
        "The sender's name: virtual_mtas.<name>.sender says whose mail it gets; without it: this "
        "machine's name",
    .data_dir = "/var/lib/postfleet-sender",
    .http = "127.0.0.1:8083",
    .control = "127.0.0.1:0",
};

// Takes --evacuate out of the arguments, which the other services do not have.
bool take_evacuate(int& argc, char** argv) {
    char** const end = std::remove_if(argv + 1, argv + argc,
                                      [](const char* argument) { return std::strcmp(argument, "--evacuate") == 0; });
    const bool found = end != argv + argc;
    argc = static_cast<int>(end - argv);
    return found;
}

}  // namespace

int main(int argc, char** argv) {
    using postfleet::sender::SenderProcess;
    const auto purpose = take_evacuate(argc, argv) ? SenderProcess::Purpose::Evacuate : SenderProcess::Purpose::Send;
    postfleet::cluster_member::MemberOptions options;
    int exit_code = 0;
    if (!postfleet::cluster_member::parse_member_options(argc, argv, kProgram, options, exit_code)) return exit_code;
    if (!postfleet::config::is_name(options.name)) {
        std::fprintf(stderr,
                     "postfleet-sender: --name: '%s' is no name that virtual_mtas.<name>.sender can have; use letters, "
                     "digits, '-', '_' and '.'; see `postfleet-sender --help`\n",
                     postfleet::printable(options.name, 100).c_str());
        return 2;
    }
    auto process = SenderProcess::start(std::move(options), purpose);
    if (!process) {
        std::fprintf(stderr, "postfleet-sender: %s\n", process.error().text.c_str());
        return 1;
    }
    if (!*process) return 0;
    if (purpose == SenderProcess::Purpose::Evacuate) return (*process)->evacuate();
    std::fputs((*process)->banner().c_str(), stdout);
    std::fflush(stdout);
    return (*process)->run();
}
