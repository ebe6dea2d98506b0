// RotatedFile: a ReportSink that writes lines (JSON, CSV) to a file, rotated by size and age.
//
//   events.jsonl                     being written
//   events.jsonl.20261122-101112     rotated at that time, UTC; -1, -2 … when the name is taken
//
//   acct.csv                         the same with RotatedNames::Dated
//   acct-2026-11-22-0000.csv         the first one rotated on that day, UTC
//
// A header is the first line of every file; a file that begins with another one is rotated before it is used.
//
// A reader sees whole lines only: write() appends a batch with one system call and takes it back when only a
// part went in. flush() is fdatasync, and a sync of the folder when a name in it has changed. After a failed
// flush everything since the last good one is to be written again; the next write() starts a fresh file.
//
// Threads: confined; blocks on the disk. Units: octets. Errors: open() says what is wrong with the path;
// ResourceExhausted (disk full), Unavailable (any other failure); both may pass.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "postfleet/base/log.hpp"
#include "postfleet/base/time.hpp"
#include "postfleet/ports/report_sink.hpp"

namespace postfleet {

enum class RotatedNames : std::uint8_t { Stamped, Dated };

struct RotatedFileOptions {
    std::string path;
    std::string header;   // without a line end; empty: none
    std::string move_to;  // folder for rotated files, on the same volume; empty: where they are
    RotatedNames names = RotatedNames::Stamped;
    std::uint64_t rotate_size = 100ull << 20;
    Duration rotate_after = std::chrono::hours(24);  // since the file was made
    std::uint32_t keep = 14;                // rotated files; the rest is removed, oldest first. Not those in move_to
    WallTime (*clock)() = &wall_clock_now;  // tests bring their own
};

class RotatedFile final : public ReportSink {
public:
    // Makes missing folders. Fails when the file cannot be written.
    static Result<std::unique_ptr<RotatedFile>> open(RotatedFileOptions options, Log log);
    ~RotatedFile() override;
    RotatedFile(const RotatedFile&) = delete;
    RotatedFile& operator=(const RotatedFile&) = delete;

    Status write(std::span<const ReportRecord> records) override;
    Status flush() override;

private:
    RotatedFile(RotatedFileOptions options, Log log);

    Status open_file();
    Result<std::uint64_t> begin_of_zeros(std::uint64_t size) const;
    Status cut_partial_line();
    Status ready_for(std::uint64_t octets);
    Status rotate(WallTime now);
    Status append(const std::string& octets);
    Status sync_file();
    Status sync_folder();
    Status start_with_header();
    Result<std::string> rename_aside(WallTime now);
    std::string rotated_name(WallTime now, int n) const;
    int first_number(const std::string& target) const;
    void remove_old();
    bool is_moved_away() const;
    void close_file();
    Error failure(const char* doing, int error) const;

    const RotatedFileOptions options_;
    const std::string folder_, base_name_;
    Log log_;
    int descriptor_ = -1;
    WallTime made_at_{};
    std::optional<WallTime> rotation_failed_at_;
    bool folder_changed_ = false;
    bool set_aside_ = false;   // a sync failed: nothing more goes into this file
    std::string last_target_;  // of the last rotation, with the number it took
    int last_number_ = 0;
    std::string buffer_;
};

}  // namespace postfleet
