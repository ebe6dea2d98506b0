// Lookup: the questions and the answer of one look-up, without any network.
//
//   MX of the domain -> nothing there: the domain is its own host
//                    -> hosts -> A and AAAA of each -> MxAnswer
//
// The driver asks what next_questions() says and feeds back what came. Threads: confined.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "postfleet/ports/resolver.hpp"

namespace postfleet::dns {

enum class RecordType : std::uint16_t { A = 1, Mx = 15, Aaaa = 28 };

struct Question {
    std::string name;
    RecordType type = RecordType::Mx;
    std::size_t host = 0;  // index of the host an address is asked for
};

// What came back for one question.
struct Records {
    enum class Kind { Found, NoData, NoSuchName, Failed };
    Kind kind = Kind::Failed;
    std::vector<std::string> rdata;  // wire format
    Duration time_to_live{};
    bool secure = false;
    std::string text;  // why it failed
};

class Lookup {
public:
    enum class Kind { Mx, Host };
    Lookup(Kind kind, std::string name);

    // The questions to ask now; each is given out once.
    std::vector<Question> take_questions();
    void on_records(const Question& question, const Records& records);
    bool is_done() const { return open_questions_ == 0; }
    // Whether mail could go somewhere with what is known so far.
    bool has_address() const;
    // The answer so far; `why` is said about what is still open.
    MxAnswer answer(std::string_view why) const;

private:
    void on_mx(const Records& records);
    void on_addresses(const Question& question, const Records& records);
    void ask_addresses();
    void ask(Question question);
    MxAnswer finished(MxAnswer::Kind kind, std::string text) const;

    const Kind kind_;
    const std::string name_;
    std::vector<Question> questions_;
    std::size_t open_questions_ = 0;
    std::vector<MxHost> hosts_;
    bool is_implicit_ = false;
    bool is_null_mx_ = false;
    bool no_such_name_ = false;
    bool secure_ = true;
    std::string failure_;  // the first one
    Duration time_to_live_ = Duration::max();
};

// "\x02mx\x04test\x00" → "mx.test". Empty for the root; nothing for octets that no host name has.
bool parse_wire_name(std::string_view wire, std::string& name);

}  // namespace postfleet::dns
