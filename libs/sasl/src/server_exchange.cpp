#include "postfleet/sasl/server_exchange.hpp"

#include <algorithm>
#include <utility>

#include "postfleet/base/base64.hpp"
#include "postfleet/base/require.hpp"
#include "scram_message.hpp"
#include "user_name.hpp"

namespace postfleet::sasl {

namespace {

constexpr std::string_view kExporter = "p=tls-exporter";
constexpr std::string_view kServerEndPoint = "p=tls-server-end-point";
constexpr std::size_t kDecoySaltOctets = 16;
constexpr std::size_t kMinNonceCharacters = 24;

}  // namespace

Reply reply_of(Failure failure) {
    switch (failure) {
        case Failure::Malformed: return {501, {5, 5, 2}, "cannot decode what you sent for AUTH"};
        case Failure::TooLong: return {500, {5, 5, 6}, "authentication exchange line is too long"};
        case Failure::Cancelled: return {501, {5, 7, 0}, "authentication cancelled"};
        case Failure::Rejected: return {535, {5, 7, 8}, "authentication credentials invalid"};
        case Failure::Busy: return {454, {4, 7, 0}, "temporary authentication failure, try again later"};
    }
    return {};
}

ServerExchange::ServerExchange(Mechanism mechanism, const ServerRules& rules, std::string_view nonce,
                               ChannelBinding binding)
    : mechanism_(mechanism), rules_(rules), binding_(std::move(binding)) {
    if (!is_scram(mechanism)) return;
    require(nonce.size() >= kMinNonceCharacters && rules.decoy_secret.size() >= 16);
    nonce_ = nonce;
}

ServerExchange::~ServerExchange() {
    wipe(keys_.stored_key);
    wipe(keys_.server_key);
}

ServerStep ServerExchange::begin(std::optional<std::string_view> initial_response) {
    require(state_ == State::Begin);
    switch (mechanism_) {
        case Mechanism::Plain: state_ = State::Response; break;
        case Mechanism::Login: state_ = State::UserName; break;
        case Mechanism::ScramSha256:
        case Mechanism::ScramSha256Plus: state_ = State::ClientFirst; break;
    }
    if (!initial_response) return challenge(mechanism_ == Mechanism::Login ? "Username:" : "", state_);
    return decode(*initial_response == "=" ? std::string_view() : *initial_response);
}

ServerStep ServerExchange::receive(std::string_view line) {
    require(state_ != State::Begin && state_ != State::Asking && state_ != State::Over);
    if (line == "*") return fail(Failure::Cancelled);
    return decode(line);
}

ServerStep ServerExchange::decode(std::string_view text) {
    if (text.size() > kMaxLineOctets) return fail(Failure::TooLong);
    std::optional<std::string> message = base64_decode(text);
    if (!message) return fail(Failure::Malformed);
    ServerStep step = take(*message);
    wipe(*message);
    return step;
}

ServerStep ServerExchange::take(std::string_view message) {
    switch (state_) {
        case State::Response: return take_plain(message);
        case State::UserName:
            if (!is_user_name(message)) return fail(Failure::Malformed);
            user_ = message;
            return challenge("Password:", State::Password);
        case State::Password: return take_password(message);
        case State::ClientFirst: return take_client_first(message);
        case State::ClientFinal: return take_client_final(message);
        case State::Acknowledgement:
            if (!message.empty()) return fail(Failure::Malformed);
            state_ = State::Over;
            return {ServerStep::Kind::Succeeded, {}, {}};
        case State::Begin:
        case State::Asking:
        case State::Over: break;
    }
    require(false);
    return {};
}

// [authzid] NUL authcid NUL passwd (RFC 4616 §2)
ServerStep ServerExchange::take_plain(std::string_view message) {
    const std::size_t first = message.find('\0');
    if (first == std::string_view::npos) return fail(Failure::Malformed);
    const std::size_t second = message.find('\0', first + 1);
    if (second == std::string_view::npos) return fail(Failure::Malformed);
    const std::string_view authorization = message.substr(0, first);
    const std::string_view user = message.substr(first + 1, second - first - 1);
    if (!is_user_name(user) || (!authorization.empty() && !is_user_name(authorization)))
        return fail(Failure::Malformed);
    user_ = user;
    may_succeed_ = authorization.empty() || authorization == user;
    return take_password(message.substr(second + 1));
}

ServerStep ServerExchange::take_password(std::string_view message) {
    if (message.empty() || message.size() > kMaxPasswordOctets || message.find('\0') != std::string_view::npos) {
        return fail(Failure::Malformed);
    }
    password_ = Secret(message);
    return ask(ServerStep::Kind::CheckPassword);
}

ServerStep ServerExchange::resume(PasswordVerdict verdict) {
    require(state_ == State::Asking && !is_scram(mechanism_));
    password_ = Secret();
    if (verdict == PasswordVerdict::Busy) return fail(Failure::Busy);
    if (verdict != PasswordVerdict::Match || !may_succeed_) return fail(Failure::Rejected);
    state_ = State::Over;
    return {ServerStep::Kind::Succeeded, {}, {}};
}

ServerStep ServerExchange::take_client_first(std::string_view message) {
    const std::optional<ClientFirst> first = parse_client_first(message);
    if (!first) return fail(Failure::Malformed);
    user_ = first->user;
    may_succeed_ = first->authorization_name.empty() || first->authorization_name == user_;
    bound_ = first->gs2_header;
    if (!may_bind(first->binding_flag)) may_succeed_ = false;
    nonce_.insert(0, first->nonce);
    signed_text_ = first->bare;
    return ask(ServerStep::Kind::FindKeys);
}

// Whether the client's flag fits the mechanism and us (RFC 5802 §6); adds what it is bound to.
bool ServerExchange::may_bind(std::string_view flag) {
    if (mechanism_ == Mechanism::ScramSha256) return flag == "n" || (flag == "y" && !binding_.is_offered);
    if (flag == kExporter) bound_ += binding_.exporter;
    else if (flag == kServerEndPoint) bound_ += binding_.server_end_point;
    else return false;
    return !(flag == kExporter ? binding_.exporter : binding_.server_end_point).empty();
}

ScramKeys ServerExchange::decoy() const {
    ScramKeys keys;
    keys.iterations = rules_.decoy_iterations;
    const Sha256Digest salt = rules_.digests.hmac_sha256(rules_.decoy_secret, "salt:" + user_);
    keys.salt = octets_of(salt).substr(0, kDecoySaltOctets);
    keys.stored_key = rules_.digests.hmac_sha256(rules_.decoy_secret, "key:" + user_);
    return keys;
}

ServerStep ServerExchange::resume(const ScramKeys* keys) {
    require(state_ == State::Asking && is_scram(mechanism_));
    keys_ = decoy();  // made for everybody, so that it takes the same time
    if (keys != nullptr) keys_ = *keys;
    may_succeed_ = may_succeed_ && keys != nullptr;
    const std::string message =
        "r=" + nonce_ + ",s=" + base64_encode(keys_.salt) + ",i=" + std::to_string(keys_.iterations);
    signed_text_ += "," + message + ",";
    return challenge(message, State::ClientFinal);
}

ServerStep ServerExchange::take_client_final(std::string_view message) {
    const std::optional<ClientFinal> final = parse_client_final(message);
    const std::optional<std::string> binding = final ? base64_decode(final->binding) : std::nullopt;
    const std::optional<std::string> proof = final ? base64_decode(final->proof) : std::nullopt;
    if (!binding || !proof || proof->size() != Sha256Digest().size()) return fail(Failure::Malformed);
    signed_text_ += final->without_proof;

    // ClientProof := ClientKey XOR HMAC(StoredKey, AuthMessage), and StoredKey is the hash of ClientKey.
    Sha256Digest client_key = rules_.digests.hmac_sha256(octets_of(keys_.stored_key), signed_text_);
    for (std::size_t i = 0; i < client_key.size(); ++i) {
        client_key[i] = static_cast<std::uint8_t>(client_key[i] ^ static_cast<unsigned char>((*proof)[i]));
    }
    const Sha256Digest stored_key = rules_.digests.sha256(octets_of(client_key));
    wipe(client_key);
    const bool is_proven = constant_time_equals(octets_of(stored_key), octets_of(keys_.stored_key));
    const bool is_same = *binding == bound_ && final->nonce == nonce_;
    const Sha256Digest signature = rules_.digests.hmac_sha256(octets_of(keys_.server_key), signed_text_);
    if (!is_proven || !is_same || !may_succeed_) return fail(Failure::Rejected);
    // SMTP has no place for it in the 235, so the client answers once more, with nothing (RFC 4954 §4).
    return challenge("v=" + base64_encode(octets_of(signature)), State::Acknowledgement);
}

ServerStep ServerExchange::ask(ServerStep::Kind what) {
    state_ = State::Asking;
    return {what, {}, {}};
}

ServerStep ServerExchange::challenge(std::string_view message, State next) {
    state_ = next;
    return {ServerStep::Kind::Challenge, base64_encode(message), {}};
}

ServerStep ServerExchange::fail(Failure failure) {
    state_ = State::Over;
    password_ = Secret();
    return {ServerStep::Kind::Failed, {}, failure};
}

}  // namespace postfleet::sasl
