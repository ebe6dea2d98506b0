#include <fmt/format.h>

#include "postfleet/base/json.hpp"
#include "postfleet/config/reference.hpp"
#include "schema.hpp"

namespace postfleet::config {

namespace {

std::string quoted(std::string_view text) {
    std::string out;
    JsonWriter(out).value(text);
    return out;
}

// The default as JSON; empty for those that are told in words.
std::string default_json(const std::string& text) {
    if (text.empty() || text.front() == '(') return {};
    if (text == "true" || text == "false" || text.find_first_not_of("0123456789") == std::string::npos) return text;
    if (text.front() == '"') return text;
    if (text.front() != '[') return quoted(text);
    std::string out = "[";
    std::string_view inside(text);
    inside = inside.substr(1, inside.size() - 2);
    while (!inside.empty()) {
        const auto comma = inside.find(", ");
        const auto item = inside.substr(0, comma);
        out += (out.size() > 1 ? "," : "") + (item.starts_with('"') ? std::string(item) : quoted(item));
        inside = comma == std::string_view::npos ? std::string_view{} : inside.substr(comma + 2);
    }
    return out + "]";
}

// Every value may come from the environment; what takes any text needs no extra word for it.
std::string value_json(const std::string& json) {
    if (json.starts_with(R"({"type":"string")") && json.find("pattern") == std::string::npos) return json;
    if (json.find(R"("type":"object")") != std::string::npos) return json;
    return fmt::format(R"({{"anyOf":[{},{{"$ref":"#/$defs/reference"}}]}})", json);
}

std::string section_json(const Section& section);

std::string key_json(const Key& key) {
    const std::string names = R"("propertyNames":{"pattern":"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$"},)";
    std::string json;
    switch (key.shape) {
        case Key::Shape::Value: json = value_json(key.json); break;
        case Key::Shape::Object: json = section_json(*key.section); break;
        case Key::Shape::Map:
            json = fmt::format(R"({{"type":["object","null"],{}"additionalProperties":{}}})", names,
                               section_json(*key.section));
            break;
        case Key::Shape::ValueMap:
            json = value_json(key.json);
            if (key.section != nullptr) json = fmt::format(R"({{"anyOf":[{},{}]}})", json, section_json(*key.section));
            json = fmt::format(R"({{"type":["object","null"],"additionalProperties":{}}})", json);
            break;
        case Key::Shape::List:
            json = fmt::format(R"({{"type":["array","null"],"items":{}}})", section_json(*key.section));
            break;
    }
    auto head = fmt::format(R"({{"description":{})", quoted(key.summary));
    if (const auto value = default_json(key.default_text); !value.empty()) head += R"(,"default":)" + value;
    return head + "," + json.substr(1);
}

std::string section_json(const Section& section) {
    std::string properties;
    std::vector<std::string> required;
    for (const auto& key : section.keys) {
        properties += fmt::format("{}{}:{}", properties.empty() ? "" : ",", quoted(key.name), key_json(key));
        if (key.required) required.push_back(quoted(key.name));
    }
    // One file of several need not have everything that the whole needs.
    const bool is_top = section.path.empty();
    const bool may_be_null = !is_top && required.empty();
    return fmt::format(R"({{"type":{},"additionalProperties":false,"properties":{{{}}}{}}})",
                       may_be_null ? R"(["object","null"])" : R"("object")", properties,
                       is_top || required.empty() ? "" : fmt::format(R"(,"required":[{}])", fmt::join(required, ",")));
}

// Two spaces per level; short objects and arrays stay on one line.
class Indenter {
public:
    explicit Indenter(std::string_view json) : json_(json) {}
    std::string run() {
        value(0);
        return std::move(out_) + "\n";
    }

private:
    static constexpr std::size_t kWidth = 110;

    std::string_view rest() const { return json_.substr(at_); }

    std::size_t length_of_value() const {
        std::size_t depth = 0, i = at_;
        bool in_text = false;
        for (; i < json_.size(); ++i) {
            const char c = json_[i];
            if (in_text) {
                if (c == '\\') ++i;
                else if (c == '"') in_text = false;
            } else if (c == '"') in_text = true;
            else if (c == '{' || c == '[') ++depth;
            else if (c == '}' || c == ']') {
                if (depth == 0) break;
                if (--depth == 0) return i + 1 - at_;
            } else if (depth == 0 && (c == ',' || c == ':')) break;
        }
        return i - at_;
    }

    void copy(std::size_t octets) {
        bool in_text = false;
        bool is_escaped = false;
        for (const char c : rest().substr(0, octets)) {
            out_ += c;
            if (c == '"' && !is_escaped) in_text = !in_text;
            is_escaped = c == '\\' && !is_escaped;
            if (!in_text && (c == ',' || c == ':')) out_ += ' ';
        }
        at_ += octets;
    }

    void value(std::size_t indent) {
        const auto length = length_of_value();
        const bool is_container = json_[at_] == '{' || json_[at_] == '[';
        if (!is_container || indent + length <= kWidth) {
            copy(length);
            return;
        }
        const char close = json_[at_] == '{' ? '}' : ']';
        out_ += json_[at_++];
        while (true) {
            out_ += "\n" + std::string(indent + 2, ' ');
            if (close == '}') {
                copy(length_of_value());
                out_ += ": ";
                ++at_;
            }
            value(indent + 2);
            if (json_[at_] != ',') break;
            out_ += json_[at_++];
        }
        out_ += "\n" + std::string(indent, ' ') + close;
        ++at_;
    }

    const std::string_view json_;
    std::size_t at_ = 0;
    std::string out_;
};

}  // namespace

std::string json_schema() {
    const auto top = section_json(root_section());
    const auto json = fmt::format(
        R"({{"$schema":"https://json-schema.org/draft/2020-12/schema","title":"Postfleet configuration",)"
        R"("description":"One file of a Postfleet configuration directory. Written by make docs.",{},)"
        R"("$defs":{{"reference":{{"description":"The value of an environment variable.","type":"string","pattern":"\\$\\{{[A-Za-z0-9_]+\\}}"}}}}}})",
        std::string_view(top).substr(1, top.size() - 2));
    return Indenter(json).run();
}

}  // namespace postfleet::config
