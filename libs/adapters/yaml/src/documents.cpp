#include "postfleet/yaml/documents.hpp"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace postfleet::yaml {

namespace {

struct Refused {
    Origin origin;
    std::string text;
};

// Builds the tree from yaml-cpp's events. The open containers are a path from the root; they are moved into
// their parents when they end.
class TreeBuilder final : public YAML::EventHandler {
public:
    TreeBuilder(const std::string& file, std::vector<Node>& documents) : file_(file), documents_(documents) {}

    void OnDocumentStart(const YAML::Mark&) override {}
    void OnDocumentEnd() override {}

    void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        check(mark, "", anchor);
        Node node;
        node.origin = origin_of(mark);
        add(std::move(node));
    }
    void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override { refuse_anchor(mark); }
    void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  const std::string& value) override {
        check(mark, tag, anchor);
        Node node;
        node.origin = origin_of(mark);
        node.quoted = tag == "!";
        const bool is_null = !node.quoted && (value == "~" || value == "null");
        node.kind = is_null ? Node::Kind::Null : Node::Kind::Scalar;
        if (!is_null || expects_key()) node.scalar = value;
        add(std::move(node));
    }
    void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                         YAML::EmitterStyle::value) override {
        open(mark, tag, anchor, Node::Kind::Sequence);
    }
    void OnSequenceEnd() override { close(); }
    void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                    YAML::EmitterStyle::value) override {
        open(mark, tag, anchor, Node::Kind::Mapping);
    }
    void OnMapEnd() override { close(); }

private:
    struct Open {
        Node node;
        bool has_key = false;  // the last member waits for its value
    };

    // yaml-cpp counts from 0.
    Origin origin_of(const YAML::Mark& mark) const { return {file_, mark.line + 1, mark.column + 1}; }

    bool expects_key() const {
        return !open_.empty() && open_.back().node.kind == Node::Kind::Mapping && !open_.back().has_key;
    }

    [[noreturn]] void refuse_anchor(const YAML::Mark& mark) const {
        throw Refused{origin_of(mark),
                      "anchors and aliases (& and *) are not supported; write the value out, or put it in quotes "
                      "if it begins with one of them"};
    }

    void check(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
        if (anchor != 0) refuse_anchor(mark);
        if (!tag.empty() && tag != "?" && tag != "!") {
            throw Refused{origin_of(mark), fmt::format("tags such as '{}' are not supported", tag.substr(0, 80))};
        }
        if (++nodes_ > kMaxNodes)
            throw Refused{origin_of(mark), fmt::format("more than {} values in one file", kMaxNodes)};
    }

    void open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, Node::Kind kind) {
        check(mark, tag, anchor);
        if (expects_key()) throw Refused{origin_of(mark), "a key must be a word, not a list or a mapping"};
        if (open_.size() >= kMaxDepth)
            throw Refused{origin_of(mark), fmt::format("nested more than {} deep", kMaxDepth)};
        Open container;
        container.node.kind = kind;
        container.node.origin = origin_of(mark);
        open_.push_back(std::move(container));
    }

    void close() {
        Node node = std::move(open_.back().node);
        open_.pop_back();
        add(std::move(node));
    }

    void add(Node&& node) {
        if (open_.empty()) {
            if (node.kind != Node::Kind::Null) documents_.push_back(std::move(node));
            return;
        }
        Open& parent = open_.back();
        if (parent.node.kind == Node::Kind::Sequence) {
            parent.node.items.push_back(std::move(node));
        } else if (!parent.has_key) {
            parent.node.members.push_back({std::move(node.scalar), std::move(node.origin), {}});
            parent.has_key = true;
        } else {
            parent.node.members.back().value = std::move(node);
            parent.has_key = false;
        }
    }

    const std::string& file_;
    std::vector<Node>& documents_;
    std::vector<Open> open_;
    std::size_t nodes_ = 0;
};

std::string explain(const YAML::ParserException& error) {
    // "*.example.com" without quotes is YAML's way to write an alias.
    if (error.msg.find("anchor") != std::string::npos || error.msg.find("alias") != std::string::npos) {
        return "'*' and '&' begin an alias or an anchor in YAML; put the value in quotes: \"*.example.com\"";
    }
    return error.msg;
}

void append(Documents& into, Documents&& more) {
    std::move(more.documents.begin(), more.documents.end(), std::back_inserter(into.documents));
    std::move(more.problems.begin(), more.problems.end(), std::back_inserter(into.problems));
}

Documents failed(const std::string& file, std::string text) {
    Documents out;
    out.problems.push_back({{file, 0, 0}, std::move(text)});
    return out;
}

Documents read_file(const std::filesystem::path& path) {
    const auto name = path.filename().string();
    std::error_code error;
    const auto size = std::filesystem::file_size(path, error);
    if (error) return failed(name, fmt::format("cannot read {}: {}", path.string(), error.message()));
    if (size > kMaxFileOctets) {
        return failed(name, fmt::format("is larger than {} MiB; split it into several files", kMaxFileOctets >> 20));
    }
    std::ifstream in(path, std::ios::binary);
    std::string text(size, '\0');
    if (!in || !in.read(text.data(), static_cast<std::streamsize>(size))) {
        return failed(name, fmt::format("cannot read {}: {}", path.string(), std::strerror(errno)));
    }
    return parse_text(text, name);
}

bool is_configuration_file(const std::filesystem::directory_entry& entry) {
    const auto name = entry.path().filename().string();
    const auto extension = entry.path().extension();
    std::error_code error;
    return !name.starts_with('.') && (extension == ".yaml" || extension == ".yml") && !entry.is_directory(error);
}

}  // namespace

Documents parse_text(std::string_view text, const std::string& file_name) {
    Documents out;
    // yaml-cpp takes a quote that is never closed when only line ends follow, and reports it without them.
    text = text.substr(0, text.find_last_not_of(" \r\n\t") + 1);
    std::istringstream in{std::string(text)};
    TreeBuilder builder(file_name, out.documents);
    try {
        YAML::Parser parser(in);
        while (parser.HandleNextDocument(builder)) {
        }
    } catch (const Refused& refused) {
        out.problems.push_back({refused.origin, refused.text});
    } catch (const YAML::ParserException& error) {
        out.problems.push_back({{file_name, error.mark.line + 1, error.mark.column + 1}, explain(error)});
    } catch (const YAML::Exception& error) {
        out.problems.push_back({{file_name, 0, 0}, error.what()});
    }
    if (!out.problems.empty()) out.documents.clear();
    return out;
}

Result<std::vector<std::string>> list_documents(const std::string& path) {
    const auto refused = [](std::string text) { return Error{ErrorKind::InvalidArgument, std::move(text)}; };
    std::error_code error;
    if (!std::filesystem::exists(path, error)) {
        return refused(error ? fmt::format("cannot be read: {}", error.message())
                             : "does not exist; give a directory of *.yaml files, or one file");
    }
    if (!std::filesystem::is_directory(path, error)) return std::vector{path};
    std::vector<std::string> files;
    for (std::filesystem::directory_iterator at(path, error), end; !error && at != end; at.increment(error)) {
        if (is_configuration_file(*at)) files.push_back(at->path().string());
    }
    if (error) return refused(fmt::format("cannot be read: {}", error.message()));
    if (files.empty()) return refused("has no *.yaml files");
    if (files.size() > kMaxFiles) return refused(fmt::format("has more than {} files", kMaxFiles));
    std::sort(files.begin(), files.end());
    return files;
}

Documents read_documents(const std::string& path) {
    const auto files = list_documents(path);
    if (!files) return failed(path, files.error().text);
    Documents out;
    for (const std::string& file : *files) append(out, read_file(file));
    return out;
}

}  // namespace postfleet::yaml
