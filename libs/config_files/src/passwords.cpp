#include "postfleet/config_files/passwords.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>

namespace postfleet::config_files {
namespace {

constexpr std::size_t kMaxFileOctets = 4096;
constexpr std::size_t kSecretOctets = 32;
constexpr std::size_t kMaxSecretOctets = 255;  // RFC 1929 §2

struct File {
    int fd = -1;
    ~File() {
        if (fd >= 0) ::close(fd);
    }
};

// Nothing: errno says why.
std::optional<std::string> read_up_to(int fd, std::size_t limit) {
    std::string octets(limit, '\0');
    std::size_t got = 0;
    while (got < limit) {
        const ssize_t part = ::read(fd, octets.data() + got, limit - got);
        if (part < 0 && errno == EINTR) continue;
        if (part < 0) return std::nullopt;
        if (part == 0) break;
        got += static_cast<std::size_t>(part);
    }
    octets.resize(got);
    return octets;
}

// The text of a file that is nobody else's business, or what is wrong with it.
Result<std::string> read_private_file(const std::string& path) {
    const File file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};  // a FIFO must not hold us
    struct stat status {};
    if (file.fd < 0 || ::fstat(file.fd, &status) != 0) {
        return Error{ErrorKind::NotFound, fmt::format("cannot read {}: {}", path, std::strerror(errno))};
    }
    if (!S_ISREG(status.st_mode)) return Error{ErrorKind::InvalidArgument, path + " is no file"};
    if ((status.st_mode & S_IROTH) != 0) {
        return Error{ErrorKind::PermissionDenied, fmt::format("{} can be read by everybody; chmod 600 {}", path, path)};
    }
    auto text = read_up_to(file.fd, kMaxFileOctets + 1);
    if (!text) return Error{ErrorKind::Unavailable, fmt::format("cannot read {}: {}", path, std::strerror(errno))};
    if (text->size() > kMaxFileOctets) return Error{ErrorKind::InvalidArgument, path + " is too large"};
    return std::move(*text);
}

Result<StoredPassword> read_password(const std::string& path) {
    const auto text = read_private_file(path);
    if (!text) return text.error();
    auto stored = StoredPassword::parse(*text);
    if (stored) return stored;
    return Error{ErrorKind::InvalidArgument,
                 fmt::format("{}: {}; write it with `postfleet hash-password`", path, stored.error().text)};
}

}  // namespace

Result<Secret> read_secret(const std::string& path) {
    auto text = read_private_file(path);
    if (!text) return text.error();
    const std::string_view line = std::string_view(*text).substr(0, text->find_first_of("\r\n"));
    const bool fits = !line.empty() && line.size() <= kMaxSecretOctets && line.find('\0') == std::string_view::npos;
    Secret secret(fits ? line : std::string_view{});
    wipe(*text);
    if (fits) return secret;
    return Error{ErrorKind::InvalidArgument,
                 fmt::format("{}: its first line is no password of 1 to {} octets", path, kMaxSecretOctets)};
}

Passwords load_passwords(const config::Config& config, std::vector<config::Problem>& problems) {
    Passwords passwords;
    for (const auto& [name, user] : config.users) {
        if (user.password_file.empty()) continue;
        auto stored = read_password(user.password_file);
        if (stored) {
            passwords.emplace(name, std::make_shared<const StoredPassword>(std::move(*stored)));
            continue;
        }
        config::Problem problem{user.origin, "users." + name + ".password_file", stored.error().text};
        if (const auto at = config.origins.find(problem.key); at != config.origins.end()) problem.origin = at->second;
        problems.push_back(std::move(problem));
    }
    return passwords;
}

std::shared_ptr<const Secrets> load_secrets(const config::Config& config, std::vector<config::Problem>& problems) {
    auto secrets = std::make_shared<Secrets>();
    const auto load = [&](const std::string& file, const std::string& key, const Origin& otherwise) {
        if (file.empty() || secrets->contains(file)) return;
        auto secret = read_secret(file);
        if (secret) {
            secrets->emplace(file, std::move(*secret));
            return;
        }
        const auto at = config.origins.find(key);
        problems.push_back({at == config.origins.end() ? otherwise : at->second, key, secret.error().text});
    };
    for (const auto& [name, identity] : config.virtual_mtas) {
        load(identity.proxy_password_file, "virtual_mtas." + name + ".proxy_password_file", identity.origin);
    }
    for (const auto& [domain, hops] : config.routes) {
        const auto* const access = hops.front().access.get();
        if (access != nullptr) load(access->password_file, "routes." + domain + ".password_file", Origin{});
    }
    return secrets;
}

Result<std::string> load_login_secret(const std::string& data_dir) {
    const std::string path = data_dir + "/.login-secret";
    const auto failed = [&path] {
        return Error{ErrorKind::Unavailable, fmt::format("{}: {}", path, std::strerror(errno))};
    };
    const File known{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    if (known.fd >= 0) {
        auto secret = read_up_to(known.fd, kSecretOctets);
        if (!secret) return failed();
        if (secret->size() == kSecretOctets) return *secret;  // else it was cut off when it was made
    }
    std::string secret(kSecretOctets, '\0');
    if (::getrandom(secret.data(), secret.size(), 0) != static_cast<ssize_t>(secret.size())) return failed();
    const File made{::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)};
    if (made.fd < 0) return failed();
    if (::write(made.fd, secret.data(), secret.size()) != static_cast<ssize_t>(secret.size())) return failed();
    return secret;
}

}  // namespace postfleet::config_files
