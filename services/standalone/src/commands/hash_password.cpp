#include <termios.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <optional>
#include <string>

#include "../cli/terminal.hpp"
#include "commands.hpp"
#include "postfleet/base/secret.hpp"
#include "postfleet/crypto/openssl_digests.hpp"
#include "postfleet/password/password_hash.hpp"

namespace postfleet::standalone {
namespace {

// Typed characters are not shown while this lives.
class Unseen {
public:
    Unseen() : is_terminal_(::tcgetattr(STDIN_FILENO, &before_) == 0) {
        if (!is_terminal_) return;
        termios hidden = before_;
        hidden.c_lflag &= ~static_cast<tcflag_t>(ECHO);
        ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
    }
    ~Unseen() {
        if (is_terminal_) ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
    }
    Unseen(const Unseen&) = delete;
    Unseen& operator=(const Unseen&) = delete;
    bool is_terminal() const { return is_terminal_; }

private:
    termios before_{};
    bool is_terminal_;
};

// Nothing: two different ones were typed.
std::optional<Secret> ask_for_password() {
    const Unseen unseen;
    std::string first, second;
    const auto ask = [&unseen](const char* prompt, std::string& line) {
        if (unseen.is_terminal()) std::fprintf(stderr, "%s: ", prompt);
        std::getline(std::cin, line);
        if (unseen.is_terminal()) std::fputc('\n', stderr);
    };
    ask("Password", first);
    if (unseen.is_terminal()) ask("Once more", second);
    const bool same = !unseen.is_terminal() || constant_time_equals(first, second);
    Secret password(first);
    wipe(first);
    wipe(second);
    if (!same) return std::nullopt;
    return password;
}

void hash_password(Context& context) {
    const std::optional<Secret> password = ask_for_password();
    if (!password) return context.fail({ErrorKind::InvalidArgument, "the two passwords differ"});
    const crypto::OpensslDigests digests;
    const Result<StoredPassword> stored = password::hash_password(digests, password->view());
    if (!stored) return context.fail(stored.error());
    print(stored->to_string() + (stored->to_string().ends_with('\n') ? "" : "\n"));
}

}  // namespace

void register_hash_password_command(CLI::App& app, Context& context) {
    app.add_subcommand("hash-password", "What a user's password_file holds; asks for the password, or reads a line")
        ->group("Configuration")
        ->callback([&context] { hash_password(context); });
}

}  // namespace postfleet::standalone
