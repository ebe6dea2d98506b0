// SuspectFile: the note of one consumer, in a file of its own: <directory>/<queue>.<number>.suspect.
//
// It has to survive the death of the process only: nothing is synced. Whatever goes wrong with it is logged, and costs
// that the submission may be tried once more.
//
// Threads: confined. Blocks on the file, for submissions that have come back several times.
#pragma once

#include <string>
#include <vector>

#include "postfleet/base/log.hpp"
#include "postfleet/ingest/submission_consumer.hpp"

namespace postfleet::ingest {

class SuspectFile final : public SuspectNotes {
public:
    SuspectFile(std::string path, Log log) : path_(std::move(path)), log_(log) {}
    void write(const Suspect& suspect) override;
    void clear() override;

    static std::string path_of(const std::string& directory, const std::string& queue, std::uint32_t number);
    // The notes of all consumers of a queue, by an earlier process.
    static std::vector<Suspect> read_all(const std::string& directory, const std::string& queue);

private:
    const std::string path_;
    const Log log_;
};

}  // namespace postfleet::ingest
