/*
 * The options on a command line
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_SUPPORT_ARGUMENTS_HH
#define QEMU_NITRO_CLI_SUPPORT_ARGUMENTS_HH

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

struct Option {
    const char *name;               /* without the dashes */
    bool takes_value = true;
    bool takes_more = false;        /* all words up to the next option */
};

class Arguments {
public:
    /*
     * Read the words after argv[0], the command's name.  Throws Error if an
     * option is not in `options`, or if its value is missing.
     */
    Arguments(int argc, char **argv, const std::vector<Option> &options);

    /* Is --help given?  Then all other words are ignored. */
    bool help() const { return help_; }

    bool has(const char *name) const { return values_.contains(name); }

    /* The value of an option; throws if it is given twice. */
    std::optional<std::string> single(const char *name) const;

    /* The same; throws if the option is missing or empty */
    std::string required(const char *name) const;

    /* All values of an option that can be repeated, in order */
    std::vector<std::string> all(const char *name) const;

private:
    [[noreturn]] void refuse(const std::string &word, bool lacks_value,
                             const std::vector<Option> &options) const;

    std::string advice_;
    bool help_ = false;
    std::map<std::string, std::vector<std::string>, std::less<>> values_;
};

/* A decimal number of at most `max`; `option` is for messages. */
uint64_t parse_number(const std::string &option, const std::string &text,
                      uint64_t max);

/* A string for a message of one line, without control characters */
std::string sanitized(std::string text);

#endif
