#include "postfleet/wire/handover.hpp"

#include <google/protobuf/arena.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "handover_message.hpp"
#include "postfleet/base/require.hpp"

namespace postfleet::wire {

namespace {

using google::protobuf::io::CodedInputStream;
using google::protobuf::io::CodedOutputStream;
using WireFormat = google::protobuf::internal::WireFormatLite;

constexpr std::uint32_t kContentTag =
    WireFormat::MakeTag(PbHandover::kContentFieldNumber, WireFormat::WIRETYPE_LENGTH_DELIMITED);

Error wrong_field(const std::string& name) {
    return {ErrorKind::InvalidArgument, "this hand-over is not well formed: " + name};
}

// Where things are in the octets of a hand-over, and how many there are, before anything is allocated for them.
struct Layout {
    std::size_t elements = 0;
    std::string_view before, content, behind;  // content is the one large field, and nearly always the last
};

// Elements are fields with a length: in the hand-over itself, in the message, in its tasks and in what is in them. A
// text in a recipient counts like a recipient; they are few.
bool count_elements(std::string_view octets, int depth, std::size_t& elements) {
    CodedInputStream in(reinterpret_cast<const std::uint8_t*>(octets.data()), static_cast<int>(octets.size()));
    while (const auto tag = in.ReadTag()) {
        if (WireFormat::GetTagWireType(tag) != WireFormat::WIRETYPE_LENGTH_DELIMITED) {
            if (!WireFormat::SkipField(&in, tag)) return false;
            continue;
        }
        std::uint32_t size = 0;
        if (!in.ReadVarint32(&size) || size > octets.size() - static_cast<std::size_t>(in.CurrentPosition()))
            return false;
        const auto field = octets.substr(static_cast<std::size_t>(in.CurrentPosition()), size);
        if (++elements > kMaxHandoverElements) return false;
        const bool is_task = depth == 0 && WireFormat::GetTagFieldNumber(tag) == PbHandover::kTasksFieldNumber;
        const bool is_merge =
            depth == 1 && WireFormat::GetTagFieldNumber(tag) == PbHandover::Message::kMergeFieldNumber;
        const bool is_message = depth == 0 && WireFormat::GetTagFieldNumber(tag) == PbHandover::kMessageFieldNumber;
        if ((is_task || is_message || is_merge) && !count_elements(field, depth + 1, elements)) return false;
        if (!in.Skip(static_cast<int>(size))) return false;
    }
    return in.ConsumedEntireMessage();
}

// Nothing: the octets are no protobuf, or there is too much in them.
std::optional<Layout> survey(std::string_view octets) {
    Layout layout{.before = octets};
    CodedInputStream in(reinterpret_cast<const std::uint8_t*>(octets.data()), static_cast<int>(octets.size()));
    for (;;) {
        const auto at = static_cast<std::size_t>(in.CurrentPosition());
        const auto tag = in.ReadTag();
        if (tag == 0) break;
        if (tag != kContentTag) {
            if (!WireFormat::SkipField(&in, tag)) return std::nullopt;
            continue;
        }
        std::uint32_t size = 0;
        if (layout.content.data() != nullptr || !in.ReadVarint32(&size)) return std::nullopt;
        const auto begin = static_cast<std::size_t>(in.CurrentPosition());
        if (size > octets.size() - begin) return std::nullopt;
        layout.before = octets.substr(0, at);
        layout.content = octets.substr(begin, size);
        layout.behind = octets.substr(begin + size);
        if (!in.Skip(static_cast<int>(size))) return std::nullopt;
    }
    if (!in.ConsumedEntireMessage()) return std::nullopt;
    for (const auto part : {layout.before, layout.behind}) {
        if (!count_elements(part, 0, layout.elements)) return std::nullopt;
    }
    return layout;
}

Result<std::vector<SharedOctets>> cut_into_chunks(std::string_view content, const Message& message) {
    if (content.size() != message.size_octets) return wrong_field("content");
    const std::size_t chunks = message.content_chunks;
    // An exact multiple may end in an empty chunk: it was cut before it was known that nothing would follow.
    if (chunks == 0 || (chunks - 1) * kContentChunkOctets > content.size() ||
        chunks * kContentChunkOctets < content.size()) {
        return wrong_field("message.content_chunks");
    }
    std::vector<SharedOctets> cut;
    cut.reserve(chunks);
    for (std::size_t chunk = 0; chunk < chunks; ++chunk) {
        cut.push_back(
            std::make_shared<const std::string>(content.substr(chunk * kContentChunkOctets, kContentChunkOctets)));
    }
    return cut;
}

bool all_differ(std::vector<std::uint32_t> numbers) {
    std::sort(numbers.begin(), numbers.end());
    return std::adjacent_find(numbers.begin(), numbers.end()) == numbers.end();
}

std::string read_tasks(const PbHandover& from, Handover& to) {
    std::string wrong;
    std::vector<std::uint32_t> numbers, recipients;
    to.tasks.resize(static_cast<std::size_t>(from.tasks_size()));
    for (int i = 0; i < from.tasks_size(); ++i) {
        Task& task = to.tasks[static_cast<std::size_t>(i)];
        read_task(to.message->id, from.tasks(i), task, wrong);
        numbers.push_back(task.key.number);
        for (const Recipient& recipient : task.recipients) recipients.push_back(recipient.index);
    }
    if (!all_differ(std::move(recipients))) wrong = "recipient.index";
    if (to.tasks.empty() || !all_differ(std::move(numbers))) wrong = "tasks";
    return wrong;
}

}  // namespace

std::string encode_handover(const Handover& handover) {
    google::protobuf::Arena arena;
    auto& facts = *google::protobuf::Arena::CreateMessage<PbHandover>(&arena);
    facts.set_version(kHandoverVersion);
    if (handover.id != handover.message->id) facts.set_id(handover.id.octets.data(), handover.id.octets.size());
    write_message(*handover.message, *facts.mutable_message());
    for (const Task& task : handover.tasks) write_task(task, *facts.add_tasks());

    // Fields may stand in any order, so the content goes behind the rest without passing through `facts`.
    std::size_t content_octets = 0;
    for (const SharedOctets& chunk : handover.content) content_octets += chunk->size();
    require(content_octets <= UINT32_MAX);
    constexpr std::size_t kTagAndSize = 6;
    std::string octets;
    octets.reserve(facts.ByteSizeLong() + kTagAndSize + content_octets);
    require(facts.AppendToString(&octets));
    if (content_octets == 0) return octets;
    std::uint8_t head[2 * kTagAndSize];
    auto* end = CodedOutputStream::WriteVarint32ToArray(kContentTag, head);
    end = CodedOutputStream::WriteVarint32ToArray(static_cast<std::uint32_t>(content_octets), end);
    octets.append(reinterpret_cast<const char*>(head), static_cast<std::size_t>(end - head));
    for (const SharedOctets& chunk : handover.content) octets.append(*chunk);
    return octets;
}

Result<Handover> decode_handover(std::string_view octets) {
    if (octets.size() > kMaxHandoverOctets) return wrong_field("it is longer than a hand-over may be");
    const auto layout = survey(octets);
    if (!layout) return wrong_field("these octets are no protobuf message, or have too many elements");
    google::protobuf::Arena arena;
    auto& facts = *google::protobuf::Arena::CreateMessage<PbHandover>(&arena);
    CodedInputStream behind(reinterpret_cast<const std::uint8_t*>(layout->behind.data()),
                            static_cast<int>(layout->behind.size()));
    if (!facts.ParseFromArray(layout->before.data(), static_cast<int>(layout->before.size())) ||
        !facts.MergeFromCodedStream(&behind)) {
        return wrong_field("these octets are no hand-over");
    }
    if (facts.version() > kHandoverVersion) {
        return Error{ErrorKind::Unavailable, "this hand-over is of version " + std::to_string(facts.version()) +
                                                 "; this sender knows up to " + std::to_string(kHandoverVersion)};
    }
    if (facts.version() == 0) return wrong_field("version");

    std::string wrong;
    auto message = std::make_shared<Message>();
    read_message(facts.message(), *message, wrong);
    Handover handover{.id = message->id, .message = message};
    if (!facts.id().empty() && !read_id(facts.id(), handover.id)) wrong = "id";
    if (wrong.empty()) wrong = read_tasks(facts, handover);
    if (!wrong.empty()) return wrong_field(wrong);
    auto content = cut_into_chunks(layout->content, *message);
    if (!content) return content.error();
    handover.content = *std::move(content);
    return handover;
}

}  // namespace postfleet::wire
