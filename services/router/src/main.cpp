#include <cstdio>

#include "router.hpp"

int main(int argc, char** argv) {
    postfleet::router::Options options;
    int exit_code = 0;
    if (!postfleet::router::parse_options(argc, argv, options, exit_code)) return exit_code;
    auto router = postfleet::router::Router::start(std::move(options));
    if (!router) {
        std::fprintf(stderr, "postfleet-router: %s\n", router.error().text.c_str());
        return 1;
    }
    std::fputs((*router)->banner().c_str(), stdout);
    std::fflush(stdout);
    return (*router)->run();
}
