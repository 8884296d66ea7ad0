/*
 * The options of a command, as they were given
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "arguments.hh"

#include <getopt.h>

Arguments::Arguments(int argc, char **argv, const std::vector<Option> &options)
{
    std::vector<option> known = {{"help", no_argument, nullptr, 'h'}};

    for (const Option &o : options) {
        known.push_back({o.name, o.takes_value ? required_argument
                                               : no_argument, nullptr, 0});
    }
    known.push_back({});
    opterr = 0;
    optind = 0;                 /* glibc: begin anew */
    for (int index = 0;;) {
        int c = getopt_long(argc, argv, "+:h", known.data(), &index);

        if (c == 'h') {
            help_ = true;
            return;
        }
        if (c == -1 && optind == argc) {
            return;
        }
        if (c != 0) {
            const char *word = argv[c == -1 ? optind : optind - 1];
            bool lacks = c == ':';

            throw Error(lacks ? Code::missing_argument
                              : Code::invalid_argument,
                        std::string(word) + (lacks ? " needs a value"
                                             : " is not an option"),
                        "See --help.");
        }
        std::vector<std::string> &values = values_[known[index].name];

        values.push_back(optarg ? optarg : "");
        /* known[0] is --help */
        while (options[index - 1].takes_more && optind < argc &&
               argv[optind][0] != '-') {
            values.push_back(argv[optind++]);
        }
    }
}

std::optional<std::string> Arguments::single(const char *name) const
{
    auto found = values_.find(name);

    if (found == values_.end()) {
        return {};
    }
    if (found->second.size() > 1) {
        throw Error(Code::conflicting_argument, std::string("--") + name
                    + " is there twice", "Give it once.");
    }
    return found->second[0];
}

std::string Arguments::required(const char *name) const
{
    std::optional<std::string> value = single(name);

    if (!value || value->empty()) {
        throw Error(Code::missing_argument, std::string("--") + name
                    + " is missing", "See --help.");
    }
    return *value;
}

std::vector<std::string> Arguments::all(const char *name) const
{
    auto found = values_.find(name);

    return found == values_.end() ? std::vector<std::string>() : found->second;
}
