#include <array>

#include <boost/json.hpp>

#include "postfleet/base/json.hpp"
#include "postfleet/runtime/control.hpp"
#include "unix_socket.hpp"

namespace postfleet::runtime {
namespace {

constexpr std::size_t kMaxAnswerOctets = 256u << 20;
constexpr std::string_view kGood = "{\"ok\":true,\"result\":";

ErrorKind kind_of(std::string_view name) {
    for (const ErrorKind kind : {ErrorKind::InvalidArgument, ErrorKind::NotFound, ErrorKind::AlreadyExists,
                                 ErrorKind::ResourceExhausted, ErrorKind::Unavailable, ErrorKind::DeadlineExceeded,
                                 ErrorKind::Corruption, ErrorKind::PermissionDenied, ErrorKind::Cancelled}) {
        if (name == to_string(kind)) return kind;
    }
    return ErrorKind::Internal;
}

Error parse_failure(const std::string& line) {
    boost::system::error_code error;
    const boost::json::value document = boost::json::parse(line, error);
    if (!error) {
        const auto text = document.find_pointer("/error/text", error);
        if (!error && text != nullptr && text->is_string()) {
            const auto kind = document.find_pointer("/error/kind", error);
            const bool known = !error && kind != nullptr && kind->is_string();
            return Error{known ? kind_of(std::string_view(kind->as_string())) : ErrorKind::Internal,
                         std::string(text->as_string())};
        }
    }
    return Error{ErrorKind::Internal, "what answers on this socket does not speak Postfleet's control protocol"};
}

}  // namespace

Result<std::string> call_control(const std::string& path, const std::string& command, const ControlArguments& arguments,
                                 Duration timeout) {
    Result<UnixSocket> socket = UnixSocket::connect(path);
    if (!socket) return socket.error();
    std::string line;
    JsonWriter json(line);
    json.begin_object().member("command", command).key("arguments").begin_object();
    for (const auto& [name, value] : arguments) json.member(name, value);
    json.end_object().end_object();
    line.push_back('\n');
    if (Status sent = socket->write_all(line, timeout); !sent) return sent.error();
    Result<std::string> answer = socket->read_line(kMaxAnswerOctets, timeout);
    if (!answer) return Error{answer.error().kind, path + ": " + answer.error().text};
    if (answer->starts_with(kGood) && answer->ends_with('}')) {
        return answer->substr(kGood.size(), answer->size() - kGood.size() - 1);
    }
    return parse_failure(*answer);
}

}  // namespace postfleet::runtime
