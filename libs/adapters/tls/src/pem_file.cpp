#include "pem_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "openssl_error.hpp"

namespace postfleet::tls {

namespace {

constexpr std::size_t kMaxFileOctets = 4 << 20;

// Private keys pass through here.
struct FileContent {
    std::string octets;
    mode_t mode = 0;

    FileContent() = default;
    FileContent(FileContent&&) = default;
    FileContent& operator=(FileContent&&) = default;
    ~FileContent() { OPENSSL_cleanse(octets.data(), octets.size()); }
};

struct CloseFile {
    int fd;
    ~CloseFile() { ::close(fd); }
};

Error file_error(const std::string& what, const std::string& path, std::string_view problem,
                 ErrorKind kind = ErrorKind::InvalidArgument) {
    return {kind, fmt::format("{} {}: {}", what, path, problem)};
}

Error open_error(const std::string& what, const std::string& path) {
    const int error = errno;
    if (error == EACCES) {
        return file_error(what, path,
                          fmt::format("permission denied; this process runs as user {}, group {}, who must be able to "
                                      "read it and to enter its folders",
                                      ::geteuid(), ::getegid()),
                          ErrorKind::PermissionDenied);
    }
    return file_error(what, path, std::strerror(error), error == ENOENT ? ErrorKind::NotFound : ErrorKind::Unavailable);
}

Result<FileContent> read_file(const std::string& what, const std::string& path) {
    if (path.empty()) return Error{ErrorKind::InvalidArgument, fmt::format("{}: no file is named", what)};
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a FIFO must not hold us
    if (fd < 0) return open_error(what, path);
    const CloseFile closer{fd};
    struct stat status {};
    if (::fstat(fd, &status) != 0) return open_error(what, path);
    if (!S_ISREG(status.st_mode)) return file_error(what, path, "is no file");
    if (static_cast<std::size_t>(status.st_size) > kMaxFileOctets)
        return file_error(what, path, "is larger than 4 MiB");
    FileContent content;
    content.mode = status.st_mode;
    content.octets.resize(static_cast<std::size_t>(status.st_size));
    std::size_t got = 0;
    while (got < content.octets.size()) {
        const ssize_t part = ::read(fd, content.octets.data() + got, content.octets.size() - got);
        if (part < 0 && errno == EINTR) continue;
        if (part < 0) return open_error(what, path);
        if (part == 0) break;
        got += static_cast<std::size_t>(part);
    }
    content.octets.resize(got);
    return content;
}

bool holds(const FileContent& content, std::string_view text) { return content.octets.find(text) != std::string::npos; }

std::string why_no_pem(const FileContent& content, std::string_view wanted) {
    if (content.octets.empty()) return "is empty";
    // The first octet of a SEQUENCE: how every certificate and key starts in DER.
    if (content.octets.front() == 0x30) {
        return fmt::format("is DER, not PEM; convert it with: openssl {} -inform der",
                           wanted == "certificate" ? "x509" : "pkey");
    }
    if (!holds(content, "-----BEGIN ")) return "is not a PEM file: there is no line that starts with -----BEGIN";
    if (wanted == "certificate" && holds(content, "PRIVATE KEY-----")) {
        return "holds a private key, but no certificate; are the two files swapped?";
    }
    if (wanted == "private key" && holds(content, "BEGIN CERTIFICATE-----")) {
        return "holds a certificate, but no private key; are the two files swapped?";
    }
    return fmt::format("holds no {}", wanted);
}

BioPointer reader_of(const FileContent& content) {
    return BioPointer(BIO_new_mem_buf(content.octets.data(), static_cast<int>(content.octets.size())));
}

// Without it OpenSSL would ask for the passphrase on the terminal.
int no_passphrase(char*, int, int, void* was_asked) {
    *static_cast<bool*>(was_asked) = true;
    return -1;
}

}  // namespace

Result<CertificateChain> read_certificates(const std::string& what, const std::string& path) {
    Result<FileContent> content = read_file(what, path);
    if (!content) return content.error();
    if (!holds(*content, "CERTIFICATE-----")) return file_error(what, path, why_no_pem(*content, "certificate"));
    ERR_clear_error();
    const BioPointer reader = reader_of(*content);
    CertificateChain found;
    for (int number = 1;; ++number) {
        CertificatePointer next(PEM_read_bio_X509(reader.get(), nullptr, nullptr, nullptr));
        if (next == nullptr) {
            const unsigned long error = ERR_peek_last_error();
            // The end of the file.
            if (ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE && number > 1) break;
            return file_error(what, path,
                              fmt::format("certificate {} in it is damaged: {}", number, take_openssl_error()));
        }
        if (found.certificate == nullptr) {
            found.certificate = std::move(next);
        } else {
            found.chain.push_back(std::move(next));
        }
    }
    ERR_clear_error();
    return found;
}

Result<PrivateKey> read_private_key(const std::string& what, const std::string& path) {
    Result<FileContent> content = read_file(what, path);
    if (!content) return content.error();
    if (!holds(*content, "PRIVATE KEY-----")) return file_error(what, path, why_no_pem(*content, "private key"));
    ERR_clear_error();
    const BioPointer reader = reader_of(*content);
    bool wants_passphrase = false;
    PrivateKey found;
    found.key.reset(PEM_read_bio_PrivateKey(reader.get(), nullptr, no_passphrase, &wants_passphrase));
    found.everyone_may_read = (content->mode & S_IROTH) != 0;
    if (wants_passphrase) {
        ERR_clear_error();
        return file_error(what, path,
                          "is encrypted, and nobody is here to type the passphrase; decrypt it with: "
                          "openssl pkey -in FILE -out NEW, and protect the file by its mode");
    }
    if (found.key == nullptr) return file_error(what, path, fmt::format("is damaged: {}", take_openssl_error()));
    return found;
}

}  // namespace postfleet::tls
