#include "postfleet/support/newer_peer.hpp"

#include <vector>

namespace postfleet::support {

using google::protobuf::FieldDescriptor;

void add_unknown_fields(google::protobuf::Message& message) {
    const auto& reflection = *message.GetReflection();
    std::vector<const FieldDescriptor*> fields;
    reflection.ListFields(message, &fields);
    for (const FieldDescriptor* field : fields) {
        if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) continue;
        if (!field->is_repeated()) {
            add_unknown_fields(*reflection.MutableMessage(&message, field));
            continue;
        }
        for (int i = 0; i < reflection.FieldSize(message, field); ++i) {
            add_unknown_fields(*reflection.MutableRepeatedMessage(&message, field, i));
        }
    }
    auto& unknown = *reflection.MutableUnknownFields(&message);
    unknown.AddVarint(999, 5);
    unknown.AddLengthDelimited(1000, "new");
    unknown.AddGroup(1001)->AddFixed64(1, 7);
}

}  // namespace postfleet::support
