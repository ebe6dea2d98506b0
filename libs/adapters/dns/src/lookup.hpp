// Lookup: the questions and the answer of one look-up, without any network.
//
//   Mx:         MX of the domain -> nothing there: the domain is its own host
//                                -> hosts -> A and AAAA of each -> MxAnswer
//   Host:       A and AAAA -> MxAnswer
//   Tlsa, Txt:  the records -> TlsaAnswer, TxtAnswer
//
// The driver asks what take_questions() says and feeds back what came. Threads: confined.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "postfleet/ports/resolver.hpp"

namespace postfleet::dns {

enum class RecordType : std::uint16_t { A = 1, Mx = 15, Txt = 16, Aaaa = 28, Tlsa = 52 };

struct Question {
    std::string name;
    RecordType type = RecordType::Mx;
    std::size_t host = 0;  // index of the host an address is asked for
};

// What came back for one question.
struct Records {
    enum class Kind { Found, NoData, NoSuchName, Failed };
    Kind kind = Kind::Failed;
    std::vector<std::string> rdata{};  // wire format
    Duration time_to_live{};
    DnsState state = DnsState::Insecure;  // Bogus: failed
    std::string canonical_name{};         // where the records stand, if an alias led there
    std::string text{};                   // why it failed
};

using Answer = std::variant<MxAnswer, TlsaAnswer, TxtAnswer>;

class Lookup {
public:
    enum class Kind : std::uint8_t { Mx, Host, Tlsa, Txt };
    Lookup(Kind kind, std::string name);

    // The questions to ask now; each is given out once.
    std::vector<Question> take_questions();
    void on_records(const Question& question, const Records& records);
    bool is_done() const { return open_questions_ == 0; }
    // Whether mail could go somewhere with what is known so far.
    bool has_address() const;
    // The answer so far; `why` is said about what is still open.
    Answer answer(std::string_view why) const;
    // What is answered when nothing was found out, and why.
    static Answer failure(Kind kind, const std::string& name, std::string_view why);

private:
    void on_mx(const Records& records);
    void on_addresses(const Question& question, const Records& records);
    void ask_addresses();
    void ask(Question question);
    MxAnswer mx_answer(std::string_view why) const;
    MxAnswer finished(MxAnswer::Kind kind, std::string text) const;
    template <class Record>
    RecordAnswer<Record> record_answer(std::string_view why, bool (*parse)(std::string_view, Record&)) const;

    const Kind kind_;
    const std::string name_;
    std::vector<Question> questions_;
    std::size_t open_questions_ = 0;
    std::vector<MxHost> hosts_;
    std::vector<bool> host_has_state_;  // some question about it was answered
    bool is_implicit_ = false;
    bool is_null_mx_ = false;
    bool no_such_name_ = false;
    DnsState state_ = DnsState::Insecure;
    std::string failure_;  // the first one
    Duration time_to_live_ = Duration::max();
    Records records_;  // Tlsa, Txt
};

// "\x02mx\x04test\x00" → "mx.test". Empty for the root; nothing for octets that no host name has.
bool parse_wire_name(std::string_view wire, std::string& name);
bool parse_tlsa(std::string_view rdata, TlsaRecord& out);
bool parse_txt(std::string_view rdata, std::string& out);

}  // namespace postfleet::dns
