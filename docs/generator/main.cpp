// Writes the generated pages into docs/ (make docs).
#include <fstream>
#include <iostream>

#include "postfleet/config/reference.hpp"

int main(int argc, char** argv) {
    if (argc != 2) {
        std::cerr << "usage: postfleet-docs DIRECTORY\n";
        return 2;
    }
    const std::string directory = argv[1];
    const auto write = [&](const std::string& name, const std::string& text) {
        std::ofstream file(directory + "/" + name, std::ios::binary);
        if (file << text) return true;
        std::cerr << "cannot write " << directory << "/" << name << "\n";
        return false;
    };
    const bool good = write("CONFIGURATION.md", postfleet::config::reference_page()) &&
                      write("postfleet.schema.json", postfleet::config::json_schema());
    return good ? 0 : 1;
}
