#include "terminal.hpp"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace postfleet::standalone {
namespace {

::winsize window() {
    ::winsize size{};
    if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) size = {};
    return size;
}

void write_out(std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
}

}  // namespace

Style output_style() {
    Style style;
    if (::isatty(STDOUT_FILENO) == 0) return style;
    style.width = window().ws_col > 0 ? window().ws_col : 80;
    const char* no_colour = std::getenv("NO_COLOR");
    const char* terminal = std::getenv("TERM");
    const bool dumb = terminal == nullptr || std::string_view(terminal) == "dumb";
    style.colour = (no_colour == nullptr || *no_colour == '\0') && !dumb;
    return style;
}

unsigned terminal_height() { return window().ws_row > 0 ? window().ws_row : 24; }

struct FullScreen::Saved {
    ::termios before{};
    bool has_keys = false;
    ::sigset_t signals_before{};
    int signals = -1;
};

FullScreen::FullScreen() : saved_(std::make_unique<Saved>()) {
    if (::isatty(STDIN_FILENO) != 0 && ::tcgetattr(STDIN_FILENO, &saved_->before) == 0) {
        ::termios keys = saved_->before;
        keys.c_lflag &= static_cast<::tcflag_t>(~(ICANON | ECHO));
        saved_->has_keys = ::tcsetattr(STDIN_FILENO, TCSANOW, &keys) == 0;
    }
    // As events, so that the terminal is put back in order before the process ends.
    ::sigset_t signals;
    ::sigemptyset(&signals);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGWINCH}) ::sigaddset(&signals, signal);
    ::pthread_sigmask(SIG_BLOCK, &signals, &saved_->signals_before);
    saved_->signals = ::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    write_out("\x1b[?1049h\x1b[?25l\x1b[?7l");  // alternate screen, no cursor, no line wrap
}

FullScreen::~FullScreen() {
    write_out("\x1b[?7h\x1b[?25h\x1b[?1049l");
    if (saved_->has_keys) ::tcsetattr(STDIN_FILENO, TCSANOW, &saved_->before);
    if (saved_->signals >= 0) ::close(saved_->signals);
    ::pthread_sigmask(SIG_SETMASK, &saved_->signals_before, nullptr);
}

std::optional<char> FullScreen::wait_for_key(int milliseconds) {
    // Without keys (standard input is no terminal) only signals count: poll() ignores a negative descriptor.
    std::array<::pollfd, 2> polled{{{saved_->has_keys ? STDIN_FILENO : -1, POLLIN, 0}, {saved_->signals, POLLIN, 0}}};
    if (::poll(polled.data(), polled.size(), milliseconds) <= 0) return std::nullopt;
    if (polled[1].revents != 0) {
        ::signalfd_siginfo signal{};
        if (::read(saved_->signals, &signal, sizeof signal) != sizeof signal) return std::nullopt;
        return signal.ssi_signo == SIGWINCH ? std::nullopt : std::optional('q');
    }
    char key = 0;
    return ::read(STDIN_FILENO, &key, 1) == 1 ? std::optional(key) : std::optional('q');
}

void FullScreen::show(const std::string& frame) {
    // Home, then each line with "erase to its end": no flicker, as a clear would make.
    std::string out = "\x1b[H";
    for (const char c : frame) {
        if (c == '\n') out += "\x1b[K";
        out += c;
    }
    write_out(out + "\x1b[J");
}

}  // namespace postfleet::standalone
